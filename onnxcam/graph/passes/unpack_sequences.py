"""Unpack sequences of tensors whose lengths and indices are fixed.

A sequence that stays has no gradient rule: which tensor it holds at which index is known only while the graph runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

_Lists: TypeAlias = dict[ir.Value, list[ir.Value]]


class UnpackSequences(ir.passes.InPlacePass):
    """Replace what is read from sequences by the tensors in them."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace what can be; a model that is not modified keeps none of the nodes written meanwhile."""
        graph = model.graph
        lists: _Lists = {}
        found = False
        before = list(graph)
        for node in before:
            if node.domain != "":
                continue
            made = _LISTS[node.op_type](node, lists) if node.op_type in _LISTS else None
            if made is not None:
                lists[node.outputs[0]] = made
            if node.op_type in _READERS and node.inputs[0] in lists:
                nodes = _READERS[node.op_type](node, lists[node.inputs[0]])
                if nodes:
                    old, new = node.outputs[0], nodes[-1].outputs[0]
                    ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, [old], [new])
                    found = True
        if not found:
            _remove_new(graph, before)
        return ir.passes.PassResult(model, found)


def _remove_new(graph: ir.Graph, kept: Sequence[ir.Node]) -> None:
    """Remove the parts that nothing has read."""
    old = set(kept)
    graph.remove([node for node in graph if node not in old], safe=True)


def _number(value: ir.Value | None) -> int | None:
    """Return the one integer that a value holds, None where it is not fixed."""
    if value is None or value.const_value is None or value.const_value.size != 1:
        return None
    return int(value.const_value.numpy().ravel()[0])


def _node(op_type: str, inputs: Sequence[ir.Value | None], hint: str, outputs: int = 1, **attributes: int) -> ir.Node:
    values = [ir.Value(name=f"{hint}/{index}") for index in range(outputs)]
    return ir.node(op_type, inputs, attributes, outputs=values, name=hint)


def _constant(array: Sequence[int], hint: str) -> ir.Node:
    tensor = ir.tensor(np.asarray(array, np.int64), name=hint)
    value = ir.Value(name=hint, shape=ir.Shape([len(array)]), type=ir.TensorType(tensor.dtype))
    return ir.node("Constant", [], {"value": tensor}, outputs=[value], name=hint)


def _constructed(node: ir.Node, lists: _Lists) -> list[ir.Value] | None:
    return [value for value in node.inputs if value is not None]


def _empty(node: ir.Node, lists: _Lists) -> list[ir.Value] | None:
    return []


def _same(node: ir.Node, lists: _Lists) -> list[ir.Value] | None:
    source = node.inputs[0]
    return None if source is None else lists.get(source)


def _index(node: ir.Node, operand: int, length: int, default: int) -> int | None:
    """Return the index that an input of a node gives in a sequence of some length, or None where it is not fixed."""
    given = node.inputs[operand] if operand < len(node.inputs) else None
    index = default if given is None else _number(given)
    return index if index is None or index >= 0 else index + length


def _inserted(node: ir.Node, lists: _Lists) -> list[ir.Value] | None:
    known, tensor = _same(node, lists), node.inputs[1]
    index = None if known is None else _index(node, 2, len(known), len(known))
    if known is None or index is None or tensor is None:
        return None
    return [*known[:index], tensor, *known[index:]]


def _erased(node: ir.Node, lists: _Lists) -> list[ir.Value] | None:
    known = _same(node, lists)
    index = None if known is None else _index(node, 1, len(known), len(known) - 1)
    return None if known is None or index is None else [*known[:index], *known[index + 1 :]]


def _split(node: ir.Node, lists: _Lists) -> list[ir.Value] | None:
    """Put a Split before the node and return its parts; without a split input, one for each index of the axis."""
    x, graph = node.inputs[0], node.graph
    sizes = None if x is None or graph is None else _sizes(node, x)
    if graph is None or not sizes:
        return None
    axis = node.attributes.get_int("axis", 0)
    hint = _unused_name(graph, f"{node.outputs[0].name}/parts")
    lengths = _constant(sizes, f"{hint}/sizes")
    parts = _node("Split", [x, lengths.outputs[0]], hint, len(sizes), axis=axis)
    nodes, values = [lengths, parts], list(parts.outputs)
    given = len(node.inputs) > 1 and node.inputs[1] is not None
    if not given and not node.attributes.get_int("keepdims", 1):
        axes = _constant([axis], f"{hint}/axes")
        slim = [_node("Squeeze", [v, axes.outputs[0]], f"{hint}/slim_{i}") for i, v in enumerate(values)]
        nodes, values = [*nodes, axes, *slim], [squeeze.outputs[0] for squeeze in slim]
    graph.insert_before(node, nodes)
    return values


def _unused_name(graph: ir.Graph, hint: str) -> str:
    """Return an unused name: a sequence may be unpacked again, when a later round fixes another index."""
    taken = {inner.name for inner in graph}
    while hint in taken:
        hint += "_"
    return hint


def _sizes(node: ir.Node, x: ir.Value) -> list[int] | None:
    """Return the length of each part, as far as the file fixes it."""
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if given is not None:
        tensor = given.const_value
        if tensor is None:
            return None
        if len(tensor.shape) == 1:
            return [int(size) for size in tensor.numpy()]
    whole = None if x.shape is None else x.shape[node.attributes.get_int("axis", 0)]
    step = 1 if given is None else _number(given)
    if not isinstance(whole, int) or not step:
        return None
    return [min(step, whole - start) for start in range(0, whole, step)]


def _at(node: ir.Node, known: list[ir.Value]) -> list[ir.Node]:
    index = _number(node.inputs[1])
    if index is None or not -len(known) <= index < len(known):
        return []
    return [_node("Identity", [known[index]], f"{node.outputs[0].name}/taken")]


def _joined(node: ir.Node, known: list[ir.Value]) -> list[ir.Node]:
    hint, axis = f"{node.outputs[0].name}/joined", node.attributes.get_int("axis", 0)
    if not node.attributes.get_int("new_axis", 0):
        return [_node("Concat", known, hint, axis=axis)] if known else []
    axes = _constant([axis], f"{hint}/axes")
    wide = [_node("Unsqueeze", [v, axes.outputs[0]], f"{hint}/wide_{i}") for i, v in enumerate(known)]
    return [axes, *wide, _node("Concat", [node.outputs[0] for node in wide], hint, axis=axis)] if known else []


def _length(node: ir.Node, known: list[ir.Value]) -> list[ir.Node]:
    tensor = ir.tensor(np.asarray(len(known), np.int64))
    return [ir.node("Constant", [], {"value": tensor}, name=f"{node.outputs[0].name}/length")]


# What sequence an operator gives, as the list of its tensors; None where that is not fixed.
_LISTS: dict[str, Callable[[ir.Node, _Lists], list[ir.Value] | None]] = {
    "SequenceConstruct": _constructed,
    "SequenceEmpty": _empty,
    "SequenceInsert": _inserted,
    "SequenceErase": _erased,
    "SplitToSequence": _split,
    "Identity": _same,
}
# The nodes that give what an operator reads from a sequence, the result last; none where that is not fixed.
_READERS: dict[str, Callable[[ir.Node, list[ir.Value]], list[ir.Node]]] = {
    "SequenceAt": _at,
    "ConcatFromSequence": _joined,
    "SequenceLength": _length,
}
