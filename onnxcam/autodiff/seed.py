"""What the backward pass starts with: the cotangent of the score."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import cotangent_type
from onnxcam.errors import UnsupportedError

COTANGENT = "cotangent"
CLASS_INDEX = "class_index"


def _input(op: Builder, name: str, dtype: ir.DataType, shape: ir.Shape | None) -> Var:
    value = ir.Value(name=op.claim(name), type=ir.TensorType(dtype), shape=shape)
    op.graph.inputs.append(value)
    return op.var(value)


def numbered(name: str, order: int) -> str:
    """Return a name as the derivative of some order has it: the first has no number."""
    return name if order == 1 else f"{name}{order}"


def cotangent_seed(op: Builder, score: ir.Value, order: int = 1) -> Var:
    """Add a float32 input of the score's shape: any linear function of the scores can be explained through it."""
    seed = _input(op, numbered(COTANGENT, order), ir.DataType.FLOAT, score.shape)
    return op.cast(seed, cotangent_type(score))


def class_seed(op: Builder, score: ir.Value, order: int = 1) -> Var:
    """Add an int64 input ``[N]``, one class per sample; a negative one means the class with the highest score.

    Raises:
        UnsupportedError: the score is not one vector of classes per sample.
    """
    shape = score.shape
    if shape is None or len(shape) < 2 or any(dim != 1 for dim in shape.dims[2:]):
        raise UnsupportedError(
            f"the score '{score.name}' has shape {shape}, not [N, classes]: a class index cannot pick from it; "
            "use seed='cotangent', or name another score"
        )
    index = _input(op, numbered(CLASS_INDEX, order), ir.DataType.INT64, ir.Shape([shape[0]]))
    x = op.var(score)
    classes = shapes.dim_tensor(op, x, 1)
    flat = op.Reshape(x, shapes.sizes_tensor(op, [0, -1])) if len(shape) > 2 else x
    predicted = op.ArgMax(flat, axis=1, keepdims=0)
    chosen = op.Where(index < 0, predicted, index)
    values = op.const([0, 1], cotangent_type(score))
    hot = op.emit("OneHot", [chosen, classes, values], {"axis": 1}, dtype=values.dtype)
    return shapes.reshape_like(op, hot, x) if len(shape) > 2 else hot
