"""Weights in files beside the model: checked before they are read, since a model file is untrusted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from onnxcam.errors import ModelError

# External tensors of more numbers than this are weights.
_LARGEST_SIZE = 1024


def check_external_data(proto: onnx.ModelProto, path: Path | None) -> None:
    """Check every tensor that lies in another file.

    Args:
        proto: the model.
        path: where it lies; None for a model in memory, which may have no such tensors.

    Raises:
        ModelError: the other file is missing, truncated or outside the model's folder.
    """
    folder = path.parent.resolve() if path is not None else None
    for tensor in _tensors(proto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if folder is None or path is None:
            raise ModelError(
                f"weight '{tensor.name}' lies in the external file '{location}', which bytes in memory cannot reach; "
                "give the path of the model instead"
            )
        file = (folder / location).resolve()
        if not location or not file.is_relative_to(folder):
            raise ModelError(
                f"{path}: weight '{tensor.name}' points to '{location}', outside the model's folder; "
                "this is refused because a model file is untrusted: move the data beside the model and save it again"
            )
        if not file.is_file():
            raise ModelError(
                f"{path}: weight '{tensor.name}' needs the external file '{location}', which is missing; "
                "copy it into the model's folder"
            )
        _check_extent(entries, file, f"{path}: weight '{tensor.name}'")


def _check_extent(entries: dict[str, str], file: Path, where: str) -> None:
    try:
        end = int(entries.get("offset") or 0) + int(entries.get("length") or 0)
    except ValueError:
        raise ModelError(f"{where} has an offset or a length that is no number; save the model again") from None
    if end > file.stat().st_size:
        raise ModelError(f"{where} reaches past the end of '{file.name}'; the file is truncated: copy it again")


def read_small_tensors(graph: ir.Graph) -> None:
    """Read small external tensors, such as shapes and axes, which passes need; weights stay on disk."""
    for value in graph.initializers.values():
        tensor = value.const_value
        if isinstance(tensor, ir.ExternalTensor) and tensor.size <= _LARGEST_SIZE:
            value.const_value = ir.tensor(tensor.numpy().copy(), name=value.name)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: object) -> Iterator[onnx.TensorProto]:
    for node in nodes:  # type: ignore[attr-defined]  # a repeated protobuf field
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _graph_tensors(attribute.g)
            for graph in attribute.graphs:
                yield from _graph_tensors(graph)


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _graph_tensors(proto.graph)
    for function in proto.functions:
        yield from _node_tensors(function.node)
