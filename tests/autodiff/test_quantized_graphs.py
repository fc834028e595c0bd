"""Quantised values in graphs: moved about, summed in 32 bits, explained as real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
import torch

from onnxcam.errors import DependencyError
from onnxcam.graph.analysis.score import find_score
from onnxcam.graph.io.serialize import to_proto
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.graph.passes.dequantize_layer import dequantize_layer
from tests.helpers.checks import OnnxRuntime, assert_close, cotangent_like, differentiate
from tests.helpers.models import floats, model, rng


def test_integers_are_moved_about() -> None:
    """MaxPool, Relu, Clip, Slice, Concat, Transpose and Reshape pass on the numbers as they are."""
    weights: dict[str, npt.NDArray[Any]] = {
        "s": np.asarray(np.float32(0.02)),
        "z": np.asarray(np.int8(-10)),
        "low": np.asarray(np.int8(-90)),
        "high": np.asarray(np.int8(90)),
        "from": np.array([1]),
        "to": np.array([3]),
        "axis": np.array([3]),
        "flat": np.array([0, -1]),
    }
    proto = model(
        """moved (float[2, 3, 6, 6] x) => (float[2, 36] y) {
            q = QuantizeLinear(x, s, z)
            r = Relu(q)
            c = Clip(q, low, high)
            j = Concat <axis = 1> (r, c)
            p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (j)
            t = Transpose <perm = [0, 2, 3, 1]> (p)
            l = Slice(t, from, to, axis)
            f = Reshape(l, flat)
            d = DequantizeLinear(f, s, z)
            y = Concat <axis = 1> (d, d)
        }""",
        weights,
    )
    x = rng(1).uniform(-3, 3, (2, 3, 6, 6)).astype(np.float32)
    dy = cotangent_like(np.zeros((2, 36)))
    found = OnnxRuntime(differentiate(proto, "y", ["x", "q"]))({"x": x, "cotangent": dy})
    q = torch.tensor(found["q"].astype(np.float64), requires_grad=True)
    joined = torch.cat((torch.relu(q), q.clamp(-90, 90)), 1)
    # At an end of Clip's range the package's subgradient is 0, torch's is 1.
    joined = torch.where((joined.abs() == 90), joined.detach(), joined)
    pooled = torch.nn.functional.max_pool2d(joined, 2).permute(0, 2, 3, 1)[..., 1:3].reshape(2, -1)
    d = (pooled + 10) * float(weights["s"])
    torch.cat((d, d), 1).backward(torch.tensor(dy, dtype=torch.float64))
    assert q.grad is not None
    assert_close(found["grad/q"], q.grad.numpy(), 1e-5)
    number = x / weights["s"] - 10
    inside = (number >= -128) & (number <= 127)
    assert_close(found["grad/x"], np.where(inside, q.grad.numpy() / weights["s"], 0), 1e-5)


def test_sums_of_products_carry_a_gradient_and_sizes_do_not() -> None:
    """In 32 bits: the sum, with a bias added and in another shape, carries one; a size read from x does not."""
    proto = model(
        """sums (float[n, 3] x) => (float[n, 4] y) {
            q, s, z = DynamicQuantizeLinear(x)
            t = MatMulInteger(q, w, z)
            biased = Add(t, b)
            real = Cast <to = 1> (biased)
            scaled = Mul(real, s)
            sizes = Shape(x)
            small = Cast <to = 6> (sizes)
            count = ReduceProd <keepdims = 0> (small)
            number = Cast <to = 1> (count)
            y = Div(scaled, number)
        }""",
        {"w": rng(1).integers(-9, 9, (3, 4)).astype(np.int8), "b": np.array([1, 2, 3, 4], np.int32)},
    )
    x, dy = floats(2, 3, seed=2), cotangent_like(np.zeros((2, 4)))
    found = OnnxRuntime(differentiate(proto, "y", ["x"]))({"x": x, "cotangent": dy})["grad/x"]
    w = onnx.numpy_helper.to_array(proto.graph.initializer[0]).astype(np.float64)
    assert_close(found, dy.astype(np.float64) @ w.T / 6, 1e-5)
    with pytest.raises(DependencyError, match="does not depend smoothly on 'x'"):
        differentiate(proto, "number", ["x"])


def test_a_scale_computed_from_the_data_counts_as_a_constant() -> None:
    proto = model(
        """own (float[2, 3] x) => (float[2, 3] y) {
            a = Abs(x)
            m = ReduceMax <keepdims = 0> (a)
            s = Div(m, top)
            q = QuantizeLinear(x, s, z)
            y = DequantizeLinear(q, s, z)
        }""",
        {"top": np.asarray(np.float32(127)), "z": np.asarray(np.int8(0))},
    )
    x = floats(2, 3)
    dy = cotangent_like(x)
    found = OnnxRuntime(differentiate(proto, "y", ["x"]), optimize=False)({"x": x, "cotangent": dy})["grad/x"]
    assert_close(found, dy, 1e-5)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_a_quantised_layer_in_real_numbers(kind: str) -> None:
    """Dequantised and quantised again it holds the same integers; its gradient is that of the real number."""
    zero = np.uint8(7) if kind == "uint8" else np.int8(-7)
    proto = model(
        f"""layer ({kind}[1, 2, 4, 4] x) => (float[1, 2, 2, 2] y) {{
            t = Transpose <perm = [0, 1, 3, 2]> (x)
            p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (t)
            y = DequantizeLinear(p, s, z)
        }}""",
        {"s": np.asarray(np.float32(0.05)), "z": np.asarray(zero)},
    )
    canonical = canonicalize(ir.from_proto(proto))
    info = np.iinfo(kind)
    x = rng(0).integers(info.min, info.max + 1, (1, 2, 4, 4)).astype(kind)
    x[0, 0, :2, 0] = info.min, info.max
    wanted = OnnxRuntime(proto)({"x": x})["y"]
    dy = cotangent_like(wanted)
    integer = OnnxRuntime(differentiate(proto, "y", ["x"]))({"x": x, "cotangent": dy})["grad/x"]
    for layer in ("x", "t"):
        spliced, name = dequantize_layer(canonical, layer)
        found = OnnxRuntime(differentiate(to_proto(spliced), "y", [name]))({"x": x, "cotangent": dy})
        np.testing.assert_array_equal(found["y"], wanted)
        raw = x if layer == "x" else x.transpose(0, 1, 3, 2)
        assert_close(found[name], (raw.astype(np.float64) - zero) * 0.05, 1e-6)
        gradient = integer if layer == "x" else integer.transpose(0, 1, 3, 2)
        assert_close(found[f"grad/{name}"], gradient / np.float32(0.05), 1e-5)
    assert dequantize_layer(canonical, "y")[0] is canonical


def test_integer_scores_are_explained_as_real_numbers() -> None:
    """A file whose output is a quantised product: the score is what its integers stand for, the output stays."""
    proto = model(
        """ends (uint8[2, 3] x) => (uint8[2, 4] y) {
            q = QLinearMatMul(x, s, z, w, s, z, s, z)
            y = Reshape(q, flat)
        }""",
        {
            "s": np.asarray(np.float32(0.1)),
            "z": np.asarray(np.uint8(100)),
            "w": rng(1).integers(60, 140, (3, 4)).astype(np.uint8),
            "flat": np.array([2, 4]),
        },
    )
    canonical = canonicalize(ir.from_proto(proto))
    score = find_score(canonical.graph)
    x = rng(2).integers(60, 140, (2, 3)).astype(np.uint8)
    dy = cotangent_like(np.zeros((2, 4)))
    found = OnnxRuntime(differentiate(proto, score.name, ["x"]))({"x": x, "cotangent": dy})
    y = OnnxRuntime(proto)({"x": x})["y"]
    np.testing.assert_array_equal(found["y"], y)
    real = (onnx.numpy_helper.to_array(proto.graph.initializer[2]).astype(float) - 100) * 0.1
    inside = (y > 0) & (y < 255)
    assert_close(found["grad/x"], 0.1 * np.where(inside, dy, 0).astype(np.float64) @ real.T, 1e-5)
