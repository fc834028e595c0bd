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

PLAIN, GAMMA = "epsilon-plus-spread", "epsilon-plus-gamma-spread"
METHODS = ("lrp", "clrp", "sglrp")


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("chosen") / "transformer.onnx"
    return write(Transformer(token=True).eval(), (3, 8, 6), "script", path)


@pytest.mark.parametrize("name", METHODS)
def test_attention_decides_which_it_is(name: str, transformer: Path) -> None:
    assert onnxcam.method(name).describe()["composite"] == AUTO
    assert onnxcam.Explainer(classifier(), name).method.describe()["composite"] == PLAIN
    assert onnxcam.Explainer(transformer, name, grid=(4, 3)).method.describe()["composite"] == GAMMA
    assert (default_composite(False).name, default_composite(True).name) == (PLAIN, GAMMA)


def test_one_inside_a_wrapper_is_chosen_too() -> None:
    made = onnxcam.wrap("noise", onnxcam.method("lrp"), n=2)
    found = onnxcam.Explainer(classifier(), made).method.describe()
    assert found["method"]["composite"] == PLAIN


@pytest.mark.parametrize("name", METHODS)
def test_what_is_named_stays_and_gives_the_same_map(name: str) -> None:
    model, x = classifier(), floats(2, 3, 8, 8)
    found = onnxcam.Explainer(model, name)(x, 1)
    assert found.record()["method"]["composite"] == PLAIN
    again: Method = onnxcam.method(**found.method)
    assert again == onnxcam.method(name, composite=PLAIN)
    repeated = onnxcam.Explainer(model, again)(x, 1)
    np.testing.assert_array_equal(repeated.raw, found.raw)
    other = onnxcam.Explainer(model, onnxcam.method(name, composite="z-plus"))(x, 1)
    assert other.method["composite"] == "z-plus"
    assert not np.allclose(other.raw, found.raw)


def test_another_resolution_keeps_it() -> None:
    made = onnxcam.Explainer(classifier(), "lrp").at(4).method.describe()
    assert (made["composite"], made["to"]) == (PLAIN, "a2")
