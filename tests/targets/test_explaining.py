"""Targets of every kind through an explainer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import onnxcam
from onnxcam.errors import TargetError
from onnxcam.methods.formulas.gradient import Gradient
from onnxcam.targets import Box, Class, Cotangent, Difference
from tests.helpers.models import classifier, floats, model

LABELS = ["ant", "pug-dog", "cat", "dog", "eel"]


@pytest.mark.parametrize(
    ("ending", "shape", "batch"),
    [
        ("y = Squeeze (f, one)", "n", "n"),
        ("y = Squeeze (f, one)", "1", "1"),
        ("y = Squeeze (f)", "", "1"),
    ],
)
def test_one_score_a_sample(ending: str, shape: str, batch: str) -> None:
    """Regressors and heads of one logit write [N], or a number alone."""
    text = """g (float[{}, 3, 8, 8] x) => (float{} y) {{
        c = Conv (x, w) a = Relu (c) p = GlobalAveragePool (a) q = Flatten (p) f = MatMul (q, v) {}
    }}"""
    weights = {"w": floats(4, 3, 3, 3), "v": floats(4, 1, seed=1), "one": np.array([1])}
    made, with_both = (
        onnxcam.Explainer(model(text.format(*parts), weights), "hires-cam", preprocess="unit")
        for parts in ((batch, f"[{shape}]" if shape else "", ending), ("n", "[n, 1]", "y = Identity (f)"))
    )
    x = floats(2, 3, 8, 8)
    assert made.network.score.kind == "classes"
    for targets in (None, 0, Cotangent(np.ones(1, np.float32))):
        found, expected = made(x, targets=targets), with_both(x, targets=targets)
        assert found.scores.shape == (2, 1)
        np.testing.assert_allclose(found.raw, expected.raw, rtol=1e-5)
    with pytest.raises(TargetError, match="the model has 1 class, 0"):
        made(x, targets=1)


def test_scores_of_one_sample_without_a_batch_axis() -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[4] y) {
        c = Conv (x, w) a = Relu (c) p = GlobalAveragePool (a) y = Reshape (p, flat)
    }"""
    made = onnxcam.Explainer(model(text, {"w": floats(4, 3, 3, 3), "flat": np.array([-1])}), "hires-cam")
    x = floats(2, 3, 8, 8)
    found = made(x, targets=[1, 3])
    assert found.scores.shape == (2, 4)
    # HiResCAM of an average is conserved: its mean is the score.
    np.testing.assert_allclose(found.raw.sum(axis=(1, 2)), found.scores[[0, 1], [1, 3]], rtol=1e-5)


@pytest.mark.parametrize(("batch", "shape"), [("n", "6, n, 5"), ("1", "6, 1, 5"), ("n", "6, m, 5")])
def test_steps_on_the_axis_before_samples(batch: str, shape: str) -> None:
    """Readers of text give classes at each step as [steps, N, classes]."""
    text = f"""g (float[{batch}, 3, 4, 6] x) => (float[{shape}] y) {{
        c = Conv (x, w) m = ReduceMean <keepdims = 0> (c, rows) t = Transpose <perm = [2, 0, 1]> (m)
        y = LogSoftmax <axis = 2> (t)
    }}"""
    w = floats(5, 3, 1, 1)
    made = onnxcam.Explainer(model(text, {"w": w, "rows": np.array([2])}), Gradient(reduce="sum"), preprocess="unit")
    x = floats(2, 3, 4, 6)
    steps = np.einsum("kc,nchw->nwk", w[:, :, 0, 0], x) / 4
    found = made(x, targets=[Box(4, 3), None])
    best = steps.max(axis=2)
    best[0, 4] = steps[0, 4, 3]
    np.testing.assert_allclose(found.scores, best, rtol=1e-4)
    assert found.record()["target"]["label"] == "box 4"
    expected = np.zeros((4, 6), np.float32)
    expected[:, 4] = w[3].sum() / 4
    np.testing.assert_allclose(found.raw[0], expected, rtol=1e-4, atol=1e-6)
    # Softmax makes probabilities of all values: none of them is a coordinate.
    step, kind = np.unravel_index(steps[1].argmax(), steps[1].shape)
    expected = np.zeros((4, 6), np.float32)
    expected[:, step] = w[kind].sum() / 4
    np.testing.assert_allclose(found.raw[1], expected, rtol=1e-4, atol=1e-6)


def _one_hot(row: int) -> npt.NDArray[np.float32]:
    return np.asarray(np.eye(5, dtype=np.float32)[row])


def test_every_way_to_a_target_gives_the_same_map() -> None:
    explainer, x = onnxcam.Explainer(classifier(), labels=LABELS), floats(2, 3, 8, 8)
    by_index = explainer(x, [3, 0])
    by_array = explainer(x, [Cotangent(_one_hot(3), 3), Cotangent(_one_hot(0))])
    np.testing.assert_allclose(by_array.raw, by_index.raw, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(by_array.targets, [3, 0])
    difference = explainer(x, Difference(3, (0,)))
    three, zero = explainer(x, 3), explainer(x, 0)
    np.testing.assert_allclose(difference.raw, three.raw - zero.raw, rtol=1e-4, atol=1e-5)
    second = explainer(x, Class(rank=1))
    np.testing.assert_array_equal(second.targets, np.argsort(-second.scores, axis=1)[:, 1])


def test_dense_scores_are_explained_position_by_position() -> None:
    proto = model(
        """g (float[1, 3, 8, 8] x) => (float[1, 8, 8, 4] y) {
            a = Conv <pads = [1, 1, 1, 1]> (x, w)  r = Relu(a)  s = Conv(r, k)  y = Transpose <perm = [0, 2, 3, 1]> (s)
        }""",
        {"w": floats(5, 3, 3, 3), "k": floats(4, 5, 1, 1, seed=1)},
    )
    explainer, x = onnxcam.Explainer(proto), floats(2, 3, 8, 8)
    assert explainer.layer.name == "r"
    mask = np.zeros((8, 8), bool)
    mask[2, 5] = True
    result = explainer(x, Class(1, mask))
    # One position of a 1x1 convolution reads one position.
    assert (result.raw[:, ~mask] == 0).all()
    assert (result.raw[:, 2, 5] != 0).all()
    assert result.scores.sum(axis=1) == pytest.approx([1, 1])


def test_the_same_class_asked_for_differently_has_its_own_files(tmp_path: Path) -> None:
    explainer, x = onnxcam.Explainer(classifier()), floats(1, 3, 8, 8)
    names = [explainer(x, target).save(tmp_path)[0].overlay.name for target in (3, 3, Difference(3, (0,)))]
    assert names[0] == names[1] != names[2]
