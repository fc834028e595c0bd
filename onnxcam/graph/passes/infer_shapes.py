"""Infer shapes and types, also of operators that onnx's own inference does not know."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from onnxcam.graph.analysis.quantization import MICROSOFT, RealOperator, optional_input, real_operator
from onnxcam.graph.operators import Trait, operators_with

# Results whose rank depends on another's that was not known either.
_ROUNDS = 8
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_REDUCTIONS = frozenset(name for name in operators_with(Trait.REDUCES) if name.startswith("Reduce"))
_SEQUENCE_OPERATORS = frozenset(
    {
        *("SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceMap", "SplitToSequence"),
        "Optional",
    }
)


class InferShapes(ir.passes.InPlacePass):
    """Fill in shapes and types; the outputs of an operator that cannot be inferred stay unknown."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Infer again where a run leaves results unknown whose rank is known."""
        infer = ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)
        with (
            _group_normalization_renamed(model.graph),
            _inverses_renamed(model.graph),
            _as_real_operators(model.graph),
        ):
            modified = infer(model).modified
            for _ in range(_ROUNDS):
                if not _set_ranks(model.graph):
                    break
                infer(model)
                modified = True
        _clear_sequence_types(model.graph)
        return ir.passes.PassResult(model, modified)


@contextmanager
def _group_normalization_renamed(graph: ir.Graph) -> Iterator[None]:
    """Rename GroupNormalization, for which onnx infers nothing, to InstanceNormalization, which has the same shapes."""
    renamed = [node for node in graph.all_nodes() if node.domain == "" and node.op_type == "GroupNormalization"]
    for node in renamed:
        node.op_type = "InstanceNormalization"
    try:
        yield
    finally:
        for node in renamed:
            node.op_type = "GroupNormalization"


@contextmanager
def _inverses_renamed(graph: ir.Graph) -> Iterator[None]:
    """Call Inverse, for which onnx infers nothing, Identity: its output has the same shape."""
    renamed = [node for node in graph.all_nodes() if node.domain == MICROSOFT and node.op_type == "Inverse"]
    for node in renamed:
        node.domain, node.op_type = "", "Identity"
    try:
        yield
    finally:
        for node in renamed:
            node.domain, node.op_type = MICROSOFT, "Inverse"


@contextmanager
def _as_real_operators(graph: ir.Graph) -> Iterator[None]:
    """Write quantised operators that onnx does not know as operators on real numbers, for as long as it infers shapes.

    Their shapes are the same; the types found are the first operand's, as for the operators themselves.
    """
    restore: list[Callable[[], None]] = []
    for node in graph.all_nodes():
        found = real_operator(node) if node.domain == MICROSOFT else None
        if found is not None and not (found.op_type == "Gemm" and optional_input(node, found.scale) is None):
            restore.append(_write_as(node, found))
    try:
        yield
    finally:
        for undo in restore:
            undo()


def _write_as(node: ir.Node, read: RealOperator) -> Callable[[], None]:
    """Write a node as another operator; return what writes it as before."""
    domain, op_type, inputs = node.domain, node.op_type, tuple(node.inputs)
    operands = [node.inputs[numbers.value] for numbers in read.operands]

    def write(domain: str, op_type: str, values: list[ir.Value | None]) -> None:
        node.domain, node.op_type = domain, op_type
        node.resize_inputs(len(values))
        for index, value in enumerate(values):
            node.replace_input_with(index, value)

    write("", read.op_type, operands)
    return lambda: write(domain, op_type, list(inputs))


def _set_ranks(graph: ir.Graph) -> bool:
    """Set the ranks of results of which onnx infers nothing; return whether there were any.

    These are parts of Split whose lengths, convolutions whose kernel's size, and sums whose axes are computed while the
    graph runs.
    """
    found = False
    for node in graph.all_nodes():
        unknown = [value for value in node.outputs if value.shape is None]
        whole = node.inputs[0].shape if unknown and node.inputs and node.inputs[0] and not node.domain else None
        kept = None if whole is None else _kept_axes(node, len(whole))
        if whole is None or kept is None:
            continue
        for value in unknown:
            value.shape = ir.Shape([size if i in kept else None for i, size in enumerate(whole)])
            found = True
    return found


def _kept_axes(node: ir.Node, rank: int) -> Container[int] | None:
    """Return the axes of the first input that a result has as they are; None where it may have fewer axes or more."""
    if node.op_type == "Split":
        return set(range(rank)) - {node.attributes.get_int("axis", 0) % rank}
    if node.op_type in _CONVOLUTIONS:
        return {0}
    if node.op_type in _REDUCTIONS:
        keeps: int = node.attributes.get_int("keepdims", 1)
        return () if keeps else None
    return None


def _clear_sequence_types(graph: ir.Graph) -> None:
    """Leave the types of sequences to the runtime: onnx_ir writes the type of their tensors in their place."""
    sequences: set[ir.Value] = set()
    for node in graph.all_nodes():
        copied = node.op_type == "Identity" and node.inputs[0] in sequences
        if node.domain == "" and (node.op_type in _SEQUENCE_OPERATORS or copied):
            sequences.update(node.outputs)
    for value in sequences:
        value.type, value.shape = None, None
