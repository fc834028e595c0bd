"""Warnings about relevance that does not arrive, on layers whose shares are known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

import onnxcam
from onnxcam.methods.base import Method
from onnxcam.targets.kinds.difference import Difference
from tests.helpers.models import floats, model

ONES = np.ones((1, 2, 3, 3), np.float32)


def biased(kept: float, weight: float = 1.0) -> onnx.ModelProto:
    """Two classes, each the mean over positions of a convolution and a bias, and of this the convolution is a share."""
    weights = {
        "w": weight * np.array([[2, 1], [0.5, 1]], np.float32).reshape(2, 2, 1, 1),
        "b": weight * np.array([3, 1.5], np.float32) * (1 / kept - 1),
    }
    text = "g (float[n, 2, 3, 3] x) => (float[n, 2] y) { c = Conv(x, w, b) a = Relu(c) p = GlobalAveragePool(a) "
    text += "y = Flatten(p) }"
    return model(text, {name: np.asarray(array, np.float32) for name, array in weights.items()})


def warned(file: onnx.ModelProto, method: str | Method, x: Any = ONES, target: Any = 0) -> tuple[str, ...]:
    """Return what is said of relevance; other warnings look at the map alone."""
    (found,) = onnxcam.Explainer(file, method)(x, target).warnings
    return tuple(text for text in found if "arrives" in text or "overflows" in text)


@pytest.mark.parametrize("composite", ["epsilon-plus", "excitation-backprop", "zero"])
def test_lrp_warns_below_a_tenth(composite: str) -> None:
    method = onnxcam.method("lrp", composite=composite)
    assert warned(biased(0.11), method) == ()
    (text,) = warned(biased(0.09), method)
    assert text == (
        "only 0.09 of the score arrives in the map (3 of 33.3): biases and stabilizers take the rest; "
        "use composite=epsilon-plus-spread"
    )


def test_each_sample_has_its_own() -> None:
    x = np.concatenate([ONES, 3 * ONES])
    found = onnxcam.Explainer(biased(0.09), onnxcam.method("lrp", composite="epsilon-plus"))(x, 0)
    assert ["arrives" in " ".join(texts) for texts in found.warnings] == [True, False]
    np.testing.assert_allclose(found.raw.sum(axis=(1, 2)), [3, 9], rtol=1e-4)


@pytest.mark.parametrize("composite", ["auto", "epsilon-plus-spread", "z-plus-spread", "z-plus"])
def test_what_keeps_the_score_does_not_warn(composite: str) -> None:
    assert warned(biased(1e-3), onnxcam.method("lrp", composite=composite)) == ()


@pytest.mark.parametrize("name", ["clrp", "sglrp"])
def test_a_contrast_is_judged_by_the_targets_part(name: str) -> None:
    """Its total is next to nothing whatever arrives, since it starts as nothing."""
    method = onnxcam.method(name, composite="epsilon-plus")
    for target in (0, 1):
        assert warned(biased(0.11, 0.1), method, target=target) == ()
        (text,) = warned(biased(0.09, 0.1), method, target=target)
        assert text.startswith("only 0.09 of the target's relevance arrives in the map (")
        assert text.endswith("; use composite=z-plus-spread")
    assert warned(biased(1e-3, 0.1), name) == ()


def test_other_targets_are_judged_by_what_they_start_as() -> None:
    (text,) = warned(biased(0.09), onnxcam.method("lrp", composite="epsilon-plus"), target=Difference(0, (1,)))
    assert text.startswith("only 0.09 of the score arrives in the map (1.5 of 16.7)")


def test_relevance_that_overflows_is_never_silent() -> None:
    """Without its bias the sum that divides is 1e-30 of what is divided."""
    rules = {"rules": [{"at": "any", "rule": "zero", "bias": False}], "stabilizer": 0.0}
    file = biased(1e-25, 1e10)
    with np.errstate(all="ignore"):
        texts = warned(file, onnxcam.method("lrp", composite=rules), ONES * np.float32(1e-30))
    assert texts == (
        "relevance overflows: it is divided by sums near 0, layer after layer; use composite=epsilon-plus-spread",
    )


def test_fg_cam_warns_of_what_its_rules_lose() -> None:
    weights = {
        "w1": np.full((2, 2, 1, 1), -1, np.float32),
        "b1": np.array([1, 30], np.float32),
        "w2": np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1),
    }
    text = "g (float[n, 2, 3, 3] x) => (float[n, 2] y) { z = Conv(x, i) r = Relu(z) c = Conv(r, w1, b1) a = Relu(c) "
    text += "d = Conv(a, w2) e = Relu(d) p = GlobalAveragePool(e) y = Flatten(p) }"
    file = model(text, {**weights, "i": weights["w2"]})
    (text,) = warned(file, "fg-cam", target=1)
    assert text.startswith("only 0 of the base map's total arrives in the map (0 of ")
    assert text.endswith("; set spread=true")
    assert warned(file, onnxcam.method("fg-cam", spread=True), target=1) == ()


@pytest.mark.parametrize("name", ["hires-cam", "gradient-x-input", "relevance-cam"])
def test_methods_without_that_total_are_not_judged(name: str) -> None:
    found = onnxcam.Explainer(biased(0.01), name)(np.abs(floats(1, 2, 3, 3)), 0)
    assert not any("arrives" in text for text in found.warnings[0])


@pytest.mark.parametrize(("sizes", "said"), [((30, -50), "-20 times"), ((-20, 50), "30 times"), ((4, -2), "")])
def test_relevance_that_grows_where_it_cancels_is_said(sizes: tuple[float, float], said: str) -> None:
    """A score of 1 that is the difference of two parts: the bias of the last layer takes what is too much."""
    positive, negative = sizes
    weights = {
        "w": np.array([[abs(positive), 0], [0, abs(negative)]], np.float32).reshape(2, 2, 1, 1),
        "v": np.array([[np.sign(positive)], [np.sign(negative)]], np.float32),
        "b": np.array([1 - positive - negative], np.float32),
    }
    text = "g (float[n, 2, 3, 3] x) => (float[n, 1] y) { c = Conv(x, w) a = Relu(c) p = GlobalAveragePool(a) "
    file = model(text + "f = Flatten(p) y = Gemm(f, v, b) }", weights)
    found = warned(file, onnxcam.method("lrp", composite="epsilon-plus"))
    total = onnxcam.Explainer(file, onnxcam.method("lrp", composite="epsilon-plus"))(ONES, 0).raw.sum()
    assert [text.partition(" of the score")[0] for text in found] == ([said] if said else []), (found, total)
