"""Infer shapes and types, also of operators that onnx's own inference does not know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from onnxcam.graph.analysis.quantization import read_as_real

_SEQUENCE_OPERATORS = frozenset(
    {
        *("SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceMap", "SplitToSequence"),
        "Optional",
    }
)


class InferShapes(ir.passes.InPlacePass):
    """Fill in shapes and types; the outputs of an operator that cannot be inferred stay unknown."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Infer twice where the first run leaves outputs of Split unknown, whose rank is known."""
        infer = ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)
        with _group_normalization_renamed(model.graph), read_as_real(model.graph):
            modified = infer(model).modified
            if _set_split_ranks(model.graph):
                infer(model)
                modified = True
        _clear_sequence_types(model.graph)
        return ir.passes.PassResult(model, modified)


@contextmanager
def _group_normalization_renamed(graph: ir.Graph) -> Iterator[None]:
    """Call GroupNormalization, for which onnx infers nothing, InstanceNormalization: its output has the same shape."""
    renamed = [node for node in graph.all_nodes() if node.domain == "" and node.op_type == "GroupNormalization"]
    for node in renamed:
        node.op_type = "InstanceNormalization"
    try:
        yield
    finally:
        for node in renamed:
            node.op_type = "GroupNormalization"


def _set_split_ranks(graph: ir.Graph) -> bool:
    """Set the rank of outputs of Split whose lengths are computed at run time: onnx infers nothing for these."""
    found = False
    for node in graph.all_nodes():
        whole = node.inputs[0].shape if node.op_type == "Split" and node.domain == "" and node.inputs[0] else None
        if whole is None:
            continue
        axis = node.attributes.get_int("axis", 0) % len(whole)
        for value in (value for value in node.outputs if value.shape is None):
            value.shape = ir.Shape([None if i == axis else size for i, size in enumerate(whole)])
            found = True
    return found


def _clear_sequence_types(graph: ir.Graph) -> None:
    """Leave the types of sequences to the runtime: onnx_ir writes the type of their tensors in their place."""
    sequences: set[ir.Value] = set()
    for node in graph.all_nodes():
        copied = node.op_type == "Identity" and node.inputs[0] in sequences
        if node.domain == "" and (node.op_type in _SEQUENCE_OPERATORS or copied):
            sequences.update(node.outputs)
    for value in sequences:
        value.type, value.shape = None, None
