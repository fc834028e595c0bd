"""Keywords of an explainer: ``options`` as one object, or each option by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxcam
from onnxcam.attribution.settings import ExplainerOptions, Settings
from onnxcam.diagnostics.inspection import inspect
from onnxcam.errors import InputError
from onnxcam.graph.io import load as loading
from onnxcam.images import PRESETS
from onnxcam.network.read import read_network
from onnxcam.network.run_options import RunOptions
from tests.helpers.commands import save
from tests.helpers.models import classifier, floats


def test_keywords_and_options_make_equal_settings() -> None:
    whole = Settings.of(None, {"options": RunOptions(["cpu"], threads=1, batch_size=2, share_weights=False)})
    alone = Settings.of(["cpu"], {"threads": 1, "batch_size": 2, "share_weights": False})
    assert whole == alone
    assert Settings.of(None, {}).options == RunOptions()


@pytest.mark.parametrize("keywords", [{"threads": 1}, {"batch_size": None}, {"share_weights": True}])
def test_keywords_together_with_options_are_refused(keywords: Any) -> None:
    with pytest.raises(InputError, match=f"options holds {next(iter(keywords))} already"):
        onnxcam.Explainer(classifier(), options=RunOptions(), **keywords)
    with pytest.raises(InputError, match="options holds providers already"):
        onnxcam.Explainer(classifier(), providers=["cpu"], options=RunOptions())


def test_an_unknown_keyword_is_named() -> None:
    with pytest.raises(TypeError, match="no keyword 'thread'; did you mean threads"):
        onnxcam.Explainer(classifier(), thread=1)  # type: ignore[call-arg]


def test_every_keyword_is_described() -> None:
    described = (ExplainerOptions.__doc__ or "").partition("Attributes:")[2]
    for name in ExplainerOptions.__annotations__:
        assert f"\n        {name}: " in described


def test_a_network_that_has_been_read_is_explained_as_it_is() -> None:
    network, x = read_network(classifier(), "logits"), floats(2, 3, 8, 8)
    found = onnxcam.Explainer(network, providers=["cpu"])(x)
    np.testing.assert_array_equal(found.raw, onnxcam.Explainer(classifier(), score="logits", providers=["cpu"])(x).raw)


def test_inspect_reads_the_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, reads = save(classifier(), tmp_path / "m.onnx"), []
    read_bytes = Path.read_bytes

    def counted(self: Path) -> bytes:
        reads.append(self)
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", counted)
    assert inspect(path).score is not None
    assert reads == [path]
    assert loading.load(path).sha256 == inspect(classifier()).file.sha256


@pytest.mark.parametrize("labels", ["names.txt", Path("names.txt")])
def test_labels_are_names_and_no_file(labels: Any) -> None:
    with pytest.raises(InputError, match=r"not 'names\.txt'; read a file of names with onnxcam\.images\.load_labels"):
        onnxcam.Explainer(classifier(), labels=labels)


def test_preprocessing_is_read_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "unit.json"
    path.write_text(json.dumps(PRESETS["unit"].to_dict()))
    for given in (path, str(path), "unit", PRESETS["unit"]):
        assert onnxcam.Explainer(classifier(), preprocess=given).preprocessing == (PRESETS["unit"], "as asked for")
    with pytest.raises(InputError, match=r"preprocess is \{'mean': 0\}; give a preset's name"):
        onnxcam.Explainer(classifier(), preprocess={"mean": 0})  # type: ignore[arg-type]
