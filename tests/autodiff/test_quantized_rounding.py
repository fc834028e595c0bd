"""Rounding to integers and back: the cotangent inside the range, 0 beyond."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from onnxcam.autodiff.registry import Table, gradient_table
from onnxcam.graph.analysis.quantization import MICROSOFT
from tests.helpers.checks import OnnxRuntime, assert_close, cotangent_like, differentiate
from tests.helpers.quantized import RTOL, TOP, inputs_of, integer_model
from tests.helpers.sample import Array
from tests.helpers.scaling import scaled


def _round_trip(first: str, domain: str, weights: dict[str, Array], **attributes: Any) -> onnx.ModelProto:
    if first == "DynamicQuantizeLinear":
        nodes = [
            helper.make_node(first, ["x0"], ["q", "s", "z"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ]
    else:
        names = ["s", "z"] if "z" in weights else ["s"]
        nodes = [
            helper.make_node(first, ["x0", *names], ["q"], domain=domain, **attributes),
            helper.make_node("DequantizeLinear", ["q", *names], ["y"], domain=domain, **attributes),
        ]
    return integer_model(nodes, ((2, 3, 4),), weights)


_TRIPS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "tensor": ("QuantizeLinear", "", {"s": np.float32(0.01), "z": np.uint8(100)}, {}),
    "signed": ("QuantizeLinear", "", {"s": np.float32(0.01), "z": np.int8(-20)}, {}),
    "no zero point": ("QuantizeLinear", "", {"s": np.float32(0.006)}, {}),
    "axis": (
        "QuantizeLinear",
        "",
        {"s": np.array([0.01, 0.02, 0.005], np.float32), "z": np.array([100, 128, 5], np.uint8)},
        {"axis": 1},
    ),
    "microsoft": ("QuantizeLinear", MICROSOFT, {"s": np.float32(0.01), "z": np.uint8(100)}, {}),
    "dynamic": ("DynamicQuantizeLinear", "", {}, {}),
}


def check_trip(name: str, table: Table | None = None) -> None:
    """Compare the gradient of rounding and back: the cotangent inside the range, 0 beyond.

    Raises:
        AssertionError: they differ.
    """
    first, domain, weights, attributes = _TRIPS[name]
    weights = {key: np.asarray(value) for key, value in weights.items()}
    model = _round_trip(first, domain, weights, **attributes)
    (x,) = inputs_of(((2, 3, 4),))
    cotangent = cotangent_like(x)
    found = OnnxRuntime(differentiate(model, "y", ["x0"], table), optimize=False)({"x0": x, "cotangent": cotangent})
    inside: Any = True
    if weights:
        scale, zero = (np.reshape(v, (-1, 1)) for v in (weights["s"], weights.get("z", np.uint8(0))))
        low, high = (-128, 127) if zero.dtype == np.int8 else (0, TOP)
        number = x / scale + zero.astype(np.float64)
        inside = (number >= low) & (number <= high)
        assert not inside.all()
    assert_close(found["grad/x0"], np.where(inside, cotangent, 0), RTOL)


@pytest.mark.parametrize("name", _TRIPS)
def test_rounding_and_back(name: str) -> None:
    check_trip(name)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("tensor", ("", "QuantizeLinear")),
        ("tensor", ("", "DequantizeLinear")),
        ("microsoft", (MICROSOFT, "QuantizeLinear")),
        ("microsoft", (MICROSOFT, "DequantizeLinear")),
        ("dynamic", ("", "DynamicQuantizeLinear")),
    ],
)
def test_a_scaled_rounding_fails(name: str, key: tuple[str, str]) -> None:
    with pytest.raises(AssertionError):
        check_trip(name, scaled(gradient_table()[key][0], 0))
