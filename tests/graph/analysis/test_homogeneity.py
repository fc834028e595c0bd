"""Degrees against numbers: what a node gives for twice its input, as onnxruntime computes it."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from onnxcam.graph.analysis.homogeneity import result_degree
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.models import floats, model

_WEIGHTS = {
    "w": floats(6, 4, seed=1),
    "b": floats(6, seed=2),
    "kernel": floats(6, 5, 1, seed=3),
    "bias": floats(6, seed=4),
    "none": np.zeros(6, np.float32),
    "two": np.array(2, np.float32),
    "tiny": np.array(1e-6, np.float32),
    "one": np.array(1, np.float32),
    "channels": np.array([2]),
    "pads": np.array([0, 1, 0, 0, 1, 0]),
}

# What is done to x [2, 5, 6], and the degree of the result: None where the numbers show no power.
CASES = {
    "Relu (x)": 1,
    "Sigmoid (x)": None,
    "Softmax (x)": None,
    "Neg (x)": 1,
    "Sign (x)": 0,
    "Add (x, x)": 1,
    "Add (x, b)": None,
    "Add (x, none)": 1,
    "Add (x, tiny)": 1,
    "Add (x, one)": None,
    "Mul (x, b)": 1,
    "Mul (x, x)": 2,
    "Div (x, b)": 1,
    "Div (b, x)": -1,
    "Div (x, x)": 0,
    "Pow (x, two)": 2,
    "MatMul (x, w)": 1,
    "Conv (x, kernel)": 1,
    "Conv (x, kernel, bias)": None,
    "Conv (x, kernel, none)": 1,
    "ReduceMean (x, channels)": 1,
    "ReduceL2 (x, channels)": 1,
    "ReduceSumSquare (x, channels)": 2,
    "ReduceLogSumExp (x, channels)": None,
    "MaxPool <kernel_shape = [2]> (x)": 1,
    "Clip (x, tiny)": 1,
    "Clip (x, tiny, one)": None,
    "Pad (x, pads)": 1,
    "Pad (x, pads, one)": None,
    "Transpose <perm = [0, 2, 1]> (x)": 1,
    "LayerNormalization <axis = -1, epsilon = 1e-12> (x, b, b)": 0,
    "LpNormalization <axis = 2, p = 2> (x)": 0,
    "InstanceNormalization <epsilon = 1e-12> (x, five, five)": 0,
    "BatchNormalization (x, five, five, five, ones)": None,
    "Concat <axis = 2> (x, x)": 1,
    "Concat <axis = 2> (x, x, ones3)": None,
}


@pytest.mark.parametrize(("text", "degree"), CASES.items())
def test_twice_the_input_gives_that_power_of_two(text: str, degree: int | None) -> None:
    more = {"five": floats(5, seed=5), "ones": np.ones(5, np.float32), "ones3": np.ones((2, 5, 1), np.float32)}
    proto = model(f"g (float[2, 5, 6] x) => (float y) {{ y = {text} }}", _WEIGHTS | more)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    node = canonicalize(load(proto).ir).graph[-1]
    given = [1.0 if value is not None and value.name == "x" else 0.0 for value in node.inputs]
    assert result_degree(node, given) == degree
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.abs(floats(2, 5, 6)) + 0.1
    once, twice = (session.run(None, {"x": array})[0] for array in (x, 2 * x))
    powers = [power for power in (-1, 0, 1, 2) if np.allclose(twice, 2.0**power * once, rtol=1e-4)]
    assert powers == ([] if degree is None else [degree])


def test_a_value_without_a_degree_gives_none() -> None:
    node = canonicalize(load(model("g (float[2, 3] x) => (float[2, 3] y) { y = Add (x, x) }")).ir).graph[-1]
    assert result_degree(node, [None, 1.0]) is None
    assert result_degree(node, [0.0, 0.0]) == 0
