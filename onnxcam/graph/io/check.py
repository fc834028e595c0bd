"""Checks of a model before it is read: whether it is one, and whether all of it can be."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from onnxcam.errors import ModelError

# The names of ONNX's own operator set, and its version where a model uses none of it: the oldest that rules are for.
_MAIN, _OPSET = ("", "ai.onnx"), 18


def main_opset(proto: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators that the model asks for, 0 where it says none."""
    return next((entry.version for entry in proto.opset_import if entry.domain in _MAIN), 0)


def check_structure(proto: onnx.ModelProto, where: str) -> None:
    """Refuse what parses as protobuf by chance, as an empty file does, and operators without a version."""
    if not proto.graph.node or not proto.graph.output:
        raise ModelError(f"{where}: not an ONNX model (it has no operators or no outputs); export it again")
    if main_opset(proto) > 0:
        return
    node = next((node for node in _nodes(proto) if node.domain in _MAIN), None)
    if node is not None:
        raise ModelError(
            f"{where}: the model does not say which version of ONNX's operators it uses (opset_import), and "
            f"{node.op_type} '{node.name or node.output[0]}' is one of them; export it again, or add the version that "
            "it was exported with (onnx.helper.make_opsetid)"
        )


def set_opset(proto: onnx.ModelProto) -> None:
    """Set the version of ONNX's own operators where a model uses none of them: passes write them into it."""
    if main_opset(proto) > 0:
        return
    others = [entry for entry in proto.opset_import if entry.domain not in _MAIN]
    del proto.opset_import[:]
    proto.opset_import.extend([*others, onnx.helper.make_opsetid("", _OPSET)])


def _nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of the graph, of its branches and of the functions."""
    waiting = [*proto.graph.node, *(node for function in proto.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            waiting.extend(attribute.g.node)


def check_types(proto: onnx.ModelProto, where: str) -> None:
    """Refuse inputs and outputs that are no tensors: sequences, maps, optional and sparse values."""
    for value in (*proto.graph.input, *proto.graph.output):
        kind = value.type.WhichOneof("value")
        if kind not in (None, "tensor_type"):
            raise ModelError(
                f"{where}: '{value.name}' is a {str(kind).removesuffix('_type').replace('_', ' ')}, not a tensor; "
                "export the model again with tensors alone"
            )
