"""Models that mutations begin with: real files, the exporters' files, and small graphs for what those lack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

from tools.twins import SHARED

ROOT = Path(__file__).resolve().parents[2]
# Larger files take seconds to open, and their mutants go wrong in the same ways.
_LARGEST = 3_000_000

_TEXTS = {
    "branches": """
        <ir_version: 8, opset_import: ["" : 18]>
        agraph (float[N,3,8,8] x, bool flag) => (float[N,3] y) {
            m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
            c = If (flag) <
                then_branch = yes () => (float[N,3,4,4] a) { a = Relu(m) },
                else_branch = no () => (float[N,3,4,4] b) {
                    b = If (flag) <then_branch = p () => (float[N,3,4,4] d) { d = Neg(m) },
                                   else_branch = other () => (float[N,3,4,4] e) { e = Abs(m) }>
                }
            >
            p = GlobalAveragePool(c)
            y = Flatten(p)
        }
    """,
    "loop": """
        <ir_version: 8, opset_import: ["" : 18]>
        agraph (float[N,3,8,8] x) => (float[N,3] y) {
            count = Constant<value = int64 {3}>()
            go = Constant<value = bool {1}>()
            m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
            last = Loop (count, go, m) <
                body = step (int64 i, bool on, float[N,3,4,4] v) => (bool more, float[N,3,4,4] w)
                { more = Identity(on) w = Sin(v) }>
            p = GlobalAveragePool(last)
            y = Flatten(p)
        }
    """,
    "scan": """
        <ir_version: 8, opset_import: ["" : 18]>
        agraph (float[4,3] x) => (float[4,3] y) {
            zero = Constant<value_floats = [0.0, 0.0, 0.0]>()
            last, y = Scan (zero, x) <num_scan_inputs = 1,
                body = step (float[3] s, float[3] v) => (float[3] t, float[3] o) { t = Add(s, v) o = Identity(t) }>
        }
    """,
    "functions": """
        <ir_version: 8, opset_import: ["" : 18, "mine" : 1]>
        agraph (float[N,3,8,8] x) => (float[N,3] y) {
            m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
            a = mine.twice(m)
            b = mine.swish<beta = 1.5>(a)
            p = GlobalAveragePool(b)
            y = Flatten(p)
        }
        <domain: "mine", opset_import: ["" : 17]> twice (v) => (w) { w = Add(v, v) }
        <domain: "mine", opset_import: ["" : 18, "mine" : 1]> swish <beta> (v) => (w) {
            b = Constant<value_float : float = @beta>()
            c = Mul(b, v)
            s = Sigmoid(c)
            d = mine.twice(s)
            w = Mul(v, d)
        }
    """,
}


def bases() -> dict[str, bytes]:
    """Return the models by name."""
    found = {name: parser.parse_model(text).SerializeToString() for name, text in _TEXTS.items()}
    found |= {name: make().SerializeToString() for name, make in _MADE.items()}
    files = [*(ROOT / "models").rglob("*.onnx"), *(SHARED / "models").glob("*.onnx")]
    for path in sorted(files):
        if path.stat().st_size <= _LARGEST:
            found[path.stem] = path.read_bytes()
    return found


def _convolution() -> onnx.ModelProto:
    """Return a convolution, a normalisation and a linear layer, with labels and notes as files have them."""
    random = np.random.default_rng(0)
    arrays = {
        "w": random.normal(size=(4, 3, 3, 3)),
        "b": random.normal(size=4),
        "scale": np.ones(4),
        "shift": np.zeros(4),
        "mean": np.zeros(4),
        "var": np.ones(4),
        "head": random.normal(size=(4, 5)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "var"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["m"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "head"], ["s"]),
        helper.make_node("Softmax", ["s"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)], producer_name="fuzz")
    helper.set_model_props(model, {"labels": "a,b,c,d,e", "note": "made by hand"})
    return model


def _quantized() -> onnx.ModelProto:
    """Return a quantised convolution between quantisation and dequantisation."""
    random = np.random.default_rng(1)
    arrays = {
        "s": np.float32(0.02),
        "z": np.uint8(128),
        "ws": np.float32(0.01),
        "wz": np.int8(0),
        "w": random.integers(-100, 100, (4, 3, 3, 3)).astype(np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"]),
        helper.make_node("Conv", ["d", "wd"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["cd"]),
        helper.make_node("ReduceMean", ["cd"], ["y"], axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def _sparse() -> onnx.ModelProto:
    """Return a linear layer whose weights are a sparse initializer."""
    values = numpy_helper.from_array(np.array([1.0, -2.0, 3.0], np.float32), "w")
    indices = numpy_helper.from_array(np.array([0, 7, 100], np.int64), "w_indices")
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])],
        "sparse",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        sparse_initializer=[helper.make_sparse_tensor(values, indices, [48, 4])],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


_MADE: dict[str, Callable[[], onnx.ModelProto]] = {
    "convolution": _convolution,
    "quantized": _quantized,
    "sparse": _sparse,
}
