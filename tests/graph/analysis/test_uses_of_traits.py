"""Code that reads the table of traits treats every operator of the table, rare ones too."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from onnxcam.graph.analysis.linear_head import is_affine
from onnxcam.graph.analysis.nonnegative import nonnegative
from onnxcam.graph.analysis.quantization import quantization
from onnxcam.graph.analysis.score import find_score
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.relevance.forms.activations import is_activation
from tests.helpers.models import floats, model

CONSTANTS: dict[str, Any] = {
    "axis": np.array(1),
    "w": floats(6, 3),
    "index": np.array([[0, 2]]),
    "step": np.array(0.1, np.float32),
    "zero": np.array(3, np.uint8),
    "half": np.array(1, np.float64),
    "scales": np.array([1, 2], np.float32),
    "two": np.array([2]),
    "last": np.array([1]),
}


def graph(nodes: str, result: str = "float[n, k] y") -> ir.Graph:
    weights = {name: array for name, array in CONSTANTS.items() if f" {name}" in nodes}
    text = f"g (float[2, 6] x, float[2, 6] u) => ({result}) {{ a = Neg (x) {nodes} }}"
    return canonicalize(load(model(text, weights, 24)).ir).graph


@pytest.mark.parametrize(
    ("nodes", "affine"),
    [
        ("y = CumSum (a, axis)", True),
        ('y = Einsum <equation = "ij,jk->ik"> (a, w)', True),
        ("y = Mean (a, x)", True),
        ("y = Trilu (a)", True),
        ("y = CastLike (a, half)", True),
        ("i = CastLike (a, zero) y = Cast <to = 1> (i)", False),
        ("y = Resize (a, , scales)", True),
        ("y = Swish (a)", False),
        ('y = Einsum <equation = "ij,ij->ij"> (a, a)', False),
    ],
)
def test_a_score_is_affine_in_a_layer(nodes: str, affine: bool) -> None:
    assert is_affine(graph(nodes), "a", "y") == affine


@pytest.mark.parametrize(
    ("nodes", "claimed"),
    [
        ("r = Relu (a) y = Swish (r)", True),
        ("r = Abs (a) y = Atanh (r)", True),
        ("y = Acos (a)", True),
        ("y = Swish (a)", False),
        ("y = Asin (a)", False),
    ],
)
def test_a_value_is_never_negative(nodes: str, claimed: bool) -> None:
    found = graph(nodes)
    assert (find_value(found, "y") in nonnegative(found)) == claimed


@pytest.mark.parametrize(
    ("nodes", "known"),
    [
        ("y, i = TopK (q, two)", True),
        ("y = GatherElements <axis = 1> (q, index)", True),
        ("y = ReduceMin <keepdims = 1> (q, last)", True),
        ("y = Add (q, q)", False),
    ],
)
def test_a_quantised_value_keeps_its_scale(nodes: str, known: bool) -> None:
    found = graph(f"q = QuantizeLinear (a, step, zero) {nodes}", "uint8[n, k] y")
    scale = quantization(find_value(found, "y"))
    assert (scale is not None) == known
    if scale is not None:
        assert scale[0].name == "step"


def test_a_score_in_the_type_of_another_value_is_passed() -> None:
    assert find_score(graph("s = Softmax (a) y = CastLike (s, u)")).name == "a"


@pytest.mark.parametrize(
    ("nodes", "found"),
    [
        ("r = Relu (a) g = Tanh (r) y = Mul (a, g)", True),
        ("r = Relu (u) g = Tanh (r) y = Mul (a, g)", False),
        ("g = Sin (a) y = Mul (a, g)", False),
    ],
)
def test_a_value_times_its_own_squashed_function_is_an_activation(nodes: str, found: bool) -> None:
    node = find_value(graph(nodes), "y").producer()
    assert node is not None
    assert is_activation(node) == found
