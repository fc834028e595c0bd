"""The composite that LRP takes by default: chosen by the network, and written into the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import onnxcam
from onnxcam.methods.base import Method
from onnxcam.relevance.composite import AUTO, default_composite
from tests.helpers.models import classifier, floats
from tests.networks.special import Transformer
from tests.networks.torch_files import write

PLAIN, GAMMA, ALL = "epsilon-plus-spread", "epsilon-plus-gamma-spread", "z-plus-spread"
METHODS = ("lrp", "clrp", "sglrp")


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("chosen") / "transformer.onnx"
    return write(Transformer(token=True).eval(), (3, 8, 6), "script", path)


@pytest.mark.parametrize(("name", "wanted"), [("lrp", (PLAIN, GAMMA)), ("clrp", (ALL, ALL)), ("sglrp", (ALL, ALL))])
def test_attention_and_method_decide_which_it_is(name: str, wanted: tuple[str, str], transformer: Path) -> None:
    assert onnxcam.method(name).describe()["composite"] == AUTO
    assert onnxcam.Explainer(classifier(), name).method.describe()["composite"] == wanted[0]
    assert onnxcam.Explainer(transformer, name, grid=(4, 3)).method.describe()["composite"] == wanted[1]
    assert tuple(default_composite(each, name != "lrp").name for each in (False, True)) == wanted


def test_one_inside_a_wrapper_is_chosen_too() -> None:
    made = onnxcam.wrap("noise", onnxcam.method("lrp"), n=2)
    found = onnxcam.Explainer(classifier(), made).method.describe()
    assert found["method"]["composite"] == PLAIN


@pytest.mark.parametrize("name", METHODS)
def test_what_is_named_stays_and_gives_the_same_map(name: str) -> None:
    model, x = classifier(), floats(2, 3, 8, 8)
    found = onnxcam.Explainer(model, name)(x, 1)
    chosen = PLAIN if name == "lrp" else ALL
    assert found.record()["method"]["composite"] == chosen
    again: Method = onnxcam.method(**found.method)
    assert again == onnxcam.method(name, composite=chosen)
    repeated = onnxcam.Explainer(model, again)(x, 1)
    np.testing.assert_array_equal(repeated.raw, found.raw)
    other = onnxcam.Explainer(model, onnxcam.method(name, composite="epsilon-gamma-box"))(x, 1)
    assert other.method["composite"] == "epsilon-gamma-box"
    assert not np.allclose(other.raw, found.raw)


def test_another_resolution_keeps_it() -> None:
    made = onnxcam.Explainer(classifier(), "lrp").at(4).method.describe()
    assert (made["composite"], made["to"]) == (PLAIN, "a2")
