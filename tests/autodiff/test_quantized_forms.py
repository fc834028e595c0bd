"""Forms that quantised values take in files: every type, with scales per tensor, per axis and in blocks."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper

from onnxcam.autodiff.quantized_view import limits
from tests.helpers.checks import OnnxRuntime, Reference, assert_close, cotangent_like, differentiate
from tests.helpers.models import model, rng

# The ends of each type's range, worked out apart from the package's own.
_RANGES: dict[str, tuple[float, float, int]] = {
    "INT8": (-128, 127, 21),
    "UINT8": (0, 255, 21),
    "INT16": (-32768, 32767, 21),
    "UINT16": (0, 65535, 21),
    "INT4": (-8, 7, 21),
    "UINT4": (0, 15, 21),
    "INT2": (-2, 1, 25),
    "UINT2": (0, 3, 25),
    "FLOAT8E4M3FN": (-448, 448, 19),
    "FLOAT8E4M3FNUZ": (-240, 240, 19),
    "FLOAT8E5M2": (-57344, 57344, 19),
    "FLOAT8E5M2FNUZ": (-57344, 57344, 19),
    "FLOAT4E2M1": (-6, 6, 23),
}


def round_trip(
    kind: str, scale: npt.NDArray[Any], opset: int, shape: tuple[int, ...], **attributes: Any
) -> onnx.ModelProto:
    """Return y = DequantizeLinear(QuantizeLinear(x)) with a zero point of 0 in the given type."""
    zero = helper.make_tensor("z", getattr(TensorProto, kind), scale.shape, np.zeros(scale.size).tolist())
    dtype = helper.np_dtype_to_tensor_dtype(scale.dtype)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], **attributes),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], **attributes),
    ]
    graph = helper.make_graph(
        nodes,
        "trip",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", dtype, shape)],
        [onnx.numpy_helper.from_array(scale, "s"), zero],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=13)


@pytest.mark.parametrize("kind", _RANGES)
def test_every_type(kind: str) -> None:
    low, high, opset = _RANGES[kind]
    assert limits(ir.DataType[kind]) == (low, high)
    scale = np.float32(1.5 / max(high, 1))
    x = rng(3).uniform(-3, 3, (2, 3, 4)).astype(np.float32)
    found = Reference(differentiate(round_trip(kind, np.asarray(scale), opset, x.shape), "y", ["x"]))
    dy = cotangent_like(x)
    inside = (x / scale >= low) & (x / scale <= high)
    assert 0 < inside.sum() < x.size
    assert_close(found({"x": x, "cotangent": dy})["grad/x"], np.where(inside, dy, 0), 1e-6)


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [((), {}), ((1,), {}), ((4,), {"axis": 1}), ((6,), {"axis": -1}), ((2, 2, 6), {"axis": 1, "block_size": 2})],
    ids=["tensor", "vector of one", "axis", "last axis", "blocked"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16], ids=lambda t: np.dtype(t).name)
def test_scales_per_axis_and_in_blocks(shape: tuple[int, ...], attributes: dict[str, int], dtype: Any) -> None:
    scale = rng(1).uniform(0.004, 0.02, shape).astype(dtype)
    x = rng(2).uniform(-1.5, 1.5, (2, 4, 6)).astype(dtype)
    trip = round_trip("INT8", scale, 21, x.shape, **attributes)
    dy = cotangent_like(x)
    found = Reference(differentiate(trip, "y", ["x"]))({"x": x, "cotangent": dy})["grad/x"]
    full = scale.astype(np.float64)
    if "block_size" in attributes:
        full = full.repeat(2, axis=1)
    elif full.ndim == 1 and full.size > 1:
        full = full.reshape([-1 if axis == attributes["axis"] % 3 else 1 for axis in range(3)])
    number = x.astype(np.float64) / full
    assert found.dtype == np.float32
    assert_close(found, np.where((number >= -128) & (number <= 127), dy, 0), 1e-5)


@pytest.mark.parametrize("batch", ["2", "n"])
@pytest.mark.parametrize(
    ("attributes", "options", "group"),
    [
        ("strides = [2, 2], pads = [1, 1, 1, 1]", {"stride": 2, "padding": 1}, 1),
        ("pads = [2, 2, 2, 2], dilations = [2, 2], group = 2", {"padding": 2, "dilation": 2}, 2),
    ],
)
def test_weights_per_channel(attributes: str, options: dict[str, int], group: int, batch: str) -> None:
    """QLinearConv with a scale and a zero point for each output channel, and a bias."""
    w = rng(1).integers(0, 256, (4, 2 // group, 3, 3)).astype(np.uint8)
    weights: dict[str, npt.NDArray[Any]] = {
        "w": w,
        "ws": rng(2).uniform(0.01, 0.03, 4).astype(np.float32),
        "wz": rng(3).integers(100, 150, 4).astype(np.uint8),
        "xs": np.asarray(np.float32(0.02)),
        "xz": np.asarray(np.uint8(120)),
        "ys": np.asarray(np.float32(0.05)),
        "yz": np.asarray(np.uint8(130)),
        "b": rng(4).integers(-500, 500, 4).astype(np.int32),
    }
    proto = model(
        f"""conv (uint8[{batch}, 2, 7, 8] x) => (float y) {{
            q = QLinearConv <{attributes}> (x, xs, xz, w, ws, wz, ys, yz, b)
            y = DequantizeLinear(q, ys, yz)
        }}""",
        weights,
    )
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    x = rng(5).integers(0, 256, (2, 2, 7, 8)).astype(np.uint8)
    run = OnnxRuntime(differentiate(proto, "y", ["x"]), optimize=False)
    y = OnnxRuntime(proto, optimize=False)({"x": x})["y"]
    dy = cotangent_like(y)
    numbers = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    real_w = (w - weights["wz"].reshape(-1, 1, 1, 1).astype(float)) * weights["ws"].reshape(-1, 1, 1, 1)
    out = torch.conv2d((numbers - 120) * float(weights["xs"]), torch.tensor(real_w), groups=group, **options)
    q = y / weights["ys"] + 130
    out.backward(torch.tensor(np.where((q > 0.5) & (q < 254.5), dy, 0), dtype=torch.float64))
    assert numbers.grad is not None
    assert_close(run({"x": x, "cotangent": dy})["grad/x"], numbers.grad.numpy(), 1e-5)
