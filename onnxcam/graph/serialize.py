"""Graphs as bytes, and how much memory running them takes."""

from __future__ import annotations

from math import prod

import onnx
import onnx_ir as ir

from onnxcam.errors import ModelError


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


def bytes_per_sample(model: ir.Model) -> int:
    """Return how many bytes the values of one run with one sample take, as far as their shapes are known."""
    return sum(_size(value) for node in model.graph for value in node.outputs)


def _size(value: ir.Value) -> int:
    if value.shape is None or value.dtype is None:
        return 0
    # The first axis counts samples; other open axes are counted once, as a lower bound.
    sizes = [dim for axis, dim in enumerate(value.shape) if axis > 0 and isinstance(dim, int)]
    return prod(sizes) * max(value.dtype.bitwidth // 8, 1)
