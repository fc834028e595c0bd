"""Detections, counted along the second axis of their tensor or along the third."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import onnxcam
from onnxcam.graph.analysis.score import find_score
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.methods.formulas.gradient import Gradient
from onnxcam.targets import Box
from tests.helpers.models import floats, model

# A head of seven values at each of 4 x 4 and 2 x 2 positions: two scales joined, coordinates computed from offsets.
HEAD = """
    c = Conv (x, w)
    d = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c)
    fine = Reshape (c, joined)
    coarse = Reshape (d, joined)
    all = Concat <axis = 2> (fine, coarse)
    offsets, classes = Split <axis = 1> (all, parts)
    coordinates = Mul (offsets, eight)
    chances = Sigmoid (classes)
"""
HEAD_WEIGHTS = floats(7, 3, 1, 1)
WEIGHTS = {
    "w": HEAD_WEIGHTS,
    "joined": np.array([0, 7, -1]),
    "parts": np.array([4, 3]),
    "eight": np.array(8, np.float32),
}


def detector(shape: str, ending: str) -> onnx.ModelProto:
    return model(f"g (float[n, 3, 4, 4] x) => (float[{shape}] y) {{ {HEAD} {ending} }}", WEIGHTS)


VALUES_FIRST = detector("n, 7, 20", "y = Concat <axis = 1> (coordinates, chances)")
BOXES_FIRST = detector("n, 20, 7", "z = Concat <axis = 1> (coordinates, chances) y = Transpose <perm = [0, 2, 1]> (z)")


def axis_of(proto: onnx.ModelProto) -> int:
    score = find_score(canonicalize(load(proto).ir).graph)
    assert score.kind == "boxes"
    return score.box_axis


def test_positions_of_feature_maps_are_what_is_counted() -> None:
    assert axis_of(VALUES_FIRST) == 2
    assert axis_of(BOXES_FIRST) == 1


def test_it_is_no_matter_of_sizes() -> None:
    """Fewer positions than values: a reshaped map of features says which is which."""
    text = "g (float[n, 3, 2, 2] x) => (float[n, {}] y) {{ c = Conv (x, w) r = Reshape (c, joined) {} }}"
    assert axis_of(model(text.format("7, 4", "y = Sigmoid (r)"), WEIGHTS)) == 2
    assert axis_of(model(text.format("4, 7", "y = Transpose <perm = [0, 2, 1]> (r)"), WEIGHTS)) == 1


@pytest.mark.parametrize("between", ["s = Tanh (r)", "q = QuantizeLinear (r, step) s = DequantizeLinear (q, step)"])
def test_functions_and_rounding_keep_what_is_counted(between: str) -> None:
    nodes = f"c = Conv (x, w) r = Reshape (c, joined) {between} y = Neg (s)"
    text = f"g (float[n, 3, 2, 2] x) => (float[n, 7, 4] y) {{ {nodes} }}"
    assert axis_of(model(text, WEIGHTS | {"step": np.array(0.1, np.float32)})) == 2


@pytest.mark.parametrize(
    ("sizes", "result", "ending", "axis"),
    [
        ("n, 5, 8", "n, 5, 9", "y = Add (m, b)", 1),
        ("n, 5, 8", "n, 9, 5", "a = Add (m, b) y = Transpose <perm = [0, 2, 1]> (a)", 2),
        ("5, n, 8", "n, 5, 9", "a = Add (m, b) y = Transpose <perm = [1, 0, 2]> (a)", 1),
    ],
)
def test_weights_multiply_the_values_of_queries(sizes: str, result: str, ending: str, axis: int) -> None:
    text = f"g (float[{sizes}] x) => (float[{result}] y) {{ m = MatMul (x, w) {ending} }}"
    assert axis_of(model(text, {"w": floats(8, 9), "b": floats(9)})) == axis


@pytest.mark.parametrize(("shape", "axis"), [("84, 8400", 2), ("8400, 84", 1), ("84, a", 2), ("a, 84", 1), ("a, b", 1)])
def test_where_nothing_else_says_sizes_do(shape: str, axis: int) -> None:
    assert axis_of(model(f"g (float[n, {shape}] x) => (float[n, {shape}] y) {{ y = Mul (x, x) }}")) == axis


@pytest.mark.parametrize(("proto", "axis"), [(VALUES_FIRST, 2), (BOXES_FIRST, 1)])
def test_a_box_is_explained_where_it_comes_from(proto: onnx.ModelProto, axis: int) -> None:
    """Each detection of the fine scale is computed from one pixel, by weights that are known."""
    made = onnxcam.Explainer(proto, Gradient(reduce="sum"), preprocess="unit")
    x = np.abs(floats(1, 3, 4, 4))
    (scores,) = list(ReferenceEvaluator(proto).run(None, {"x": x}))
    detections = np.moveaxis(np.asarray(scores)[0], axis - 1, 0)
    found = made(x, targets=Box(6, 2))
    expected = np.zeros((4, 4), np.float32)
    expected[1, 2] = 8 * HEAD_WEIGHTS[2].sum()
    np.testing.assert_allclose(found.raw[0], expected, rtol=1e-5)
    best = made(x)
    assert list(best.targets) == [detections[:, 4:].max(axis=1).argmax()]
    np.testing.assert_allclose(best.scores[0], detections[:, 4:].max(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("outputs", "ending", "count"),
    [
        ("float[n, 7, 20] y", "y = Identity (all)", 4),
        ("float[n, 7, 20] y", "y = Softmax <axis = 1> (all)", 0),
        ("float[n, 3, 20] y", "y = Identity (classes)", 0),
        ("float[n, 7, 20] y, float[n, 4, 20] b", "y = Identity (all) b = Identity (coordinates)", 0),
        ("float[n, 7, 20] y, float[n, 20] b", "y = Identity (all) b = ReduceMax <keepdims = 0> (all, one)", 4),
    ],
)
def test_coordinates_come_first_unless_the_model_says_otherwise(outputs: str, ending: str, count: int) -> None:
    proto = model(f"g (float[n, 3, 4, 4] x) => ({outputs}) {{ {HEAD} {ending} }}", WEIGHTS | {"one": np.array([1])})
    assert find_score(canonicalize(load(proto).ir).graph).coordinates == count


@pytest.mark.parametrize("outputs", ["float[n, 4, 20] b, float[n, 3, 20] s", "float[n, 3, 20] s, float[n, 4, 20] b"])
def test_scores_are_explained_where_boxes_stand_apart(outputs: str) -> None:
    proto = model(
        f"g (float[n, 3, 4, 4] x) => ({outputs}) {{ {HEAD} b = Identity (coordinates) s = Identity (classes) }}",
        WEIGHTS,
    )
    score = find_score(canonicalize(load(proto).ir).graph)
    assert (score.shape, score.coordinates) == (("n", 3, 20), 0)
