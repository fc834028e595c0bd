"""Rounding to integers and back: the cotangent inside the range, 0 beyond."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

import onnxcam
from onnxcam.autodiff.quantized_range import QuantizedRange
from onnxcam.autodiff.registry import Table, gradient_table
from onnxcam.errors import UnsupportedError
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


_CENTRES: dict[str, tuple[Any, float]] = {
    "uint8": (np.uint8(100), 0.01),
    "odd zero point": (np.uint8(7), 0.25),
    "int8": (np.int8(-20), 0.03),
}


@pytest.mark.parametrize("name", _CENTRES)
@pytest.mark.parametrize("quantized_range", ["unrounded", "rounded"])
def test_the_ends_of_the_range(name: str, quantized_range: QuantizedRange) -> None:
    """Numbers a quarter and three quarters of a step beyond both ends: after rounding as in torch, else as cutting."""
    zero, scale = _CENTRES[name]
    low, high = np.iinfo(zero.dtype).min, np.iinfo(zero.dtype).max
    numbers = np.array([low - 0.75, low - 0.25, low + 0.25, high - 0.25, high + 0.25, high + 0.75])
    x = np.resize(((numbers - int(zero)) * scale).astype(np.float32), (2, 3, 4))
    model = _round_trip("QuantizeLinear", "", {"s": np.asarray(np.float32(scale)), "z": np.asarray(zero)})
    proto = onnxcam.differentiate(model, of="y", wrt=["x0"], quantized_range=quantized_range)
    found = OnnxRuntime(proto, optimize=False)({"x0": x, "cotangent": np.ones_like(x)})["grad/x0"]
    leaf = torch.tensor(x, requires_grad=True)
    if quantized_range == "rounded":
        y = torch.fake_quantize_per_tensor_affine(leaf, scale, int(zero), int(low), int(high))
    else:
        y = leaf.clamp((low - int(zero)) * scale, (high - int(zero)) * scale)
    y.sum().backward()
    assert leaf.grad is not None
    assert_close(found, leaf.grad.numpy(), RTOL)
    kept = np.array([0, quantized_range == "rounded", 1, 1, quantized_range == "rounded", 0], np.float32)
    np.testing.assert_allclose(found, np.resize(kept, x.shape), rtol=RTOL)


def test_an_unknown_range_is_refused() -> None:
    model = _round_trip("QuantizeLinear", "", {"s": np.asarray(np.float32(1)), "z": np.asarray(np.uint8(0))})
    with pytest.raises(UnsupportedError, match="'unrounded' or 'rounded', not 'after'"):
        onnxcam.differentiate(model, of="y", wrt=["x0"], quantized_range="after")  # type: ignore[arg-type]
