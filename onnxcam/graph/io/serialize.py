"""Graphs as bytes, and how much memory running them takes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from onnxcam.errors import ModelError

# Smaller weights stay in the bytes: shapes, axes and scales, which onnxruntime wants to see while it loads.
_LARGE = 1024
# Types that NumPy has too.
_PLAIN = {
    ir.DataType.FLOAT,
    ir.DataType.DOUBLE,
    ir.DataType.FLOAT16,
    ir.DataType.INT8,
    ir.DataType.UINT8,
    ir.DataType.INT32,
    ir.DataType.INT64,
}


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """Return the model as onnx's protobuf; weights in external files stay there."""
    return ir.to_proto(model)


def to_bytes(model: ir.Model) -> bytes:
    """Return the model as the bytes of an onnx file.

    Raises:
        ModelError: its weights are too large for one file.
    """
    try:
        data: bytes = to_proto(model).SerializeToString()
        return data
    except ValueError as error:
        raise ModelError(
            "the model has more than 2 GB in one file, which ONNX's format cannot hold; save it with external data"
        ) from error


@dataclass(frozen=True, eq=False)
class SerializedModel:
    """A graph for one session: its structure as bytes, and its large weights as they lie in memory, not copied.

    Attributes:
        data: the onnx file without the large weights, which it declares as external.
        weights: those weights, by name.
    """

    data: bytes
    weights: dict[str, npt.NDArray[Any]]


def serialize(model: ir.Model) -> SerializedModel:
    """Return the model for a session in this process.

    Large weights are not copied: writing 100 MB of them to bytes would take longer than everything else.
    """
    model = model.clone()
    weights: dict[str, npt.NDArray[Any]] = {}
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if (
            tensor is None
            or tensor.size < _LARGE
            or tensor.dtype not in _PLAIN
            or isinstance(tensor, ir.ExternalTensor)
        ):
            continue
        array = weights[name] = np.ascontiguousarray(tensor.numpy())
        value.const_value = ir.ExternalTensor(
            "memory", 0, array.nbytes, tensor.dtype, shape=ir.Shape(array.shape), name=name
        )
    return SerializedModel(to_bytes(model), weights)


def bytes_per_sample(model: ir.Model) -> int:
    """Return how many bytes the values of one run with one sample take, as far as their shapes are known."""
    return sum(_size(value) for node in model.graph for value in node.outputs)


def _size(value: ir.Value) -> int:
    """Return the bytes that one sample of a value takes, 0 where its shape is not known."""
    if value.shape is None or value.dtype is None:
        return 0
    # The first axis counts samples; other open axes are counted once, as a lower bound.
    sizes = [dim for axis, dim in enumerate(value.shape) if axis > 0 and isinstance(dim, int)]
    return prod(sizes) * max(value.dtype.bitwidth // 8, 1)
