"""Positions of a value that hold nothing of the network's input: padding, and constants set beside what varies.

Relevance has nothing to explain there. What a rule gives to all positions alike goes to the others only, so that
padding written as ``Pad`` before a layer and padding that is the layer's own give one map.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxcam.autodiff import lowering, shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, cotangent_type
from onnxcam.graph.operators import Trait, operators_with
from onnxcam.relevance.origins import Origins
from onnxcam.relevance.quotients import copied_shape, like

# Operators that set constants beside the numbers that they read, for some of their attributes.
FILLING = ("Pad", "CenterCropPad", "Concat")
_MOVES = operators_with(Trait.MOVES)
# Element-wise, of one value: what is fixed stays fixed.
_KEEPS = operators_with(Trait.FUNCTION | Trait.COPIES | Trait.CONVERTS) | {"Neg", "BatchNormalization"}
_JOINS = operators_with(Trait.ELEMENTWISE) & operators_with(
    Trait.LINEAR_IN_ALL | Trait.LINEAR_IN_FIRST | Trait.LINEAR_IN_EACH
) | {"Max", "Min"}


class FixedPositions:
    """Writes masks of values: 1 where a number depends on the network's input, 0 where it is fixed."""

    def __init__(self, origins: Origins) -> None:
        self.origins = origins
        self._masks: dict[tuple[ir.Graph, ir.Value], Var | None] = {}

    def mask(self, op: Builder, value: ir.Value | None) -> Var | None:
        """Return the mask of a varying value, of its shape; None if no position is known to be fixed."""
        waiting = [] if value is None else [value]
        while waiting:
            entry = waiting[-1]
            missing = [one for one in self._read(entry) if (op.graph, one) not in self._masks]
            waiting.extend(missing)
            if not missing:
                self._masks[op.graph, entry] = self._written(op, waiting.pop())
        return None if value is None else self._masks[op.graph, value]

    def whole(self, op: Builder, value: ir.Value) -> Var:
        """Return the mask of a value: all ones where no position is fixed, zeros for a constant."""
        if not self.origins.varies(value):
            return filled(op, op.var(value), 0.0)
        found = self.mask(op, value)
        return filled(op, op.var(value), 1.0) if found is None else found

    def fills(self, node: ir.Node) -> bool:
        """Whether an operator sets constants beside numbers that vary."""
        if node.domain or node.op_type not in FILLING:
            return False
        if node.op_type == "Concat":
            varying = [self.origins.varies(value) for value in node.inputs]
            return any(varying) and not all(varying)
        number = node.inputs[2] if node.op_type == "Pad" and len(node.inputs) > 2 else None
        return self.origins.varies(node.inputs[0]) and not self.origins.varies(number) and _may_add(node)

    def _read(self, value: ir.Value) -> list[ir.Value]:
        """Return the values whose masks make that of a value."""
        node = value.producer()
        if node is None or node.domain:
            return []
        if node.op_type in _MOVES | _KEEPS and node.op_type != "Concat":
            return [entry for entry in node.inputs[:1] if entry is not None]
        joins = node.op_type == "Concat" or node.op_type in _JOINS
        return [entry for entry in node.inputs if entry is not None and self.origins.varies(entry)] if joins else []

    def _written(self, op: Builder, value: ir.Value) -> Var | None:
        """Write a mask, those that it is made of being known."""
        node, masks = value.producer(), [self._masks[op.graph, entry] for entry in self._read(value)]
        found = [mask for mask in masks if mask is not None]
        if node is None or not (found or self.fills(node)):
            return None
        if node.op_type in _MOVES:
            count = len(node.inputs) if node.op_type == "Concat" else 1
            return _moved(
                op, node, [self.whole(op, entry) for entry in node.inputs[:count] if entry is not None], value
            )
        if node.op_type in _KEEPS:
            return found[0]
        if len(found) < len(masks):
            return None  # a result varies where one of the numbers does that it is made of
        y = op.var(value)
        return like(op.Expand(found[0] if len(found) == 1 else op.Max(*found), shapes.shape_tensor(op, y)), y)


def filled(op: Builder, x: Var, number: float) -> Var:
    """Return one number at every position of a value, in the type of its relevance."""
    return like(op.Expand(op.const(number, cotangent_type(x.value)), shapes.shape_tensor(op, x)), x)


def hand_over(
    op: Builder, node: NodeView, r: Var, mask: Var, masks: Sequence[Var], found: Sequence[Var | None]
) -> list[Var | None]:
    """Return relevance of an operator's inputs with that of fixed positions of its result, divided evenly.

    All positions of a sample's inputs that vary get the same share.

    Args:
        op: where to write.
        node: the operator, which sets constants beside its inputs.
        r: relevance of its result.
        mask: of its result.
        masks: of the inputs that have relevance, in order.
        found: their relevance without these shares, None for the others.
    """
    rank = node.rank(next(i for i, one in enumerate(found) if one is not None))
    axes = list(range(0 if rank == 1 or _beside_samples(node, rank) else 1, rank))
    lost = op.ReduceSum(r * lowering.complement(op, mask), axes, keepdims=1)
    shares = iter(even_shares(op, lost, masks, axes))
    return [None if one is None else like(one + next(shares), one) for one in found]


def even_shares(op: Builder, total: Var, masks: Sequence[Var], axes: Sequence[int]) -> list[Var]:
    """Return a total divided evenly among all positions that vary; among all positions where none does.

    Args:
        op: where to write.
        total: what is divided, of size 1 along the axes.
        masks: of the values that receive it.
        axes: that one total is divided over.
    """
    counts = [op.ReduceSum(mask, axes, keepdims=1) for mask in masks]
    count = counts[0] if len(counts) == 1 else op.Sum(*counts)
    empty = lowering.complement(op, lowering.step(op, count))
    targets = [mask + empty for mask in masks]
    sums = [op.ReduceSum(target, axes, keepdims=1) for target in targets]
    share = total / (sums[0] if len(sums) == 1 else op.Sum(*sums))
    return [like(target * share, mask) for target, mask in zip(targets, masks, strict=True)]


def _may_add(node: ir.Node) -> bool:
    """Whether padding adds something, for all that is known, rather than crops or mirrors."""
    if node.op_type != "Pad":
        return True
    if node.attributes.get_string("mode", "constant") != "constant":
        return False
    pads = node.inputs[1].const_value if len(node.inputs) > 1 and node.inputs[1] is not None else None
    return pads is None or bool((pads.numpy() > 0).any())


def _beside_samples(node: NodeView, rank: int) -> bool:
    """Whether constants are set beside the samples themselves, not into them."""
    if node.node.op_type == "Concat":
        return node.integer("axis", 0) % rank == 0
    pads, axes = node.constant(1), node.constant(3) if node.has(3) else None
    if node.node.op_type != "Pad" or pads is None:
        return False
    padded = [int(axis) % rank for axis in axes] if axes is not None else list(range(rank))
    return any(axis == 0 and pads[[i, i + len(padded)]].any() for i, axis in enumerate(padded))


def _moved(op: Builder, node: ir.Node, masks: Sequence[Var], value: ir.Value) -> Var:
    """Write an operator that moves numbers once more, for the masks of what it reads; padding is 0."""
    rest = list(node.inputs[len(masks) :])
    if node.op_type == "Pad" and len(rest) > 1:
        rest[1] = None
    outputs = [
        ir.Value(name=op.unique(node.op_type), type=ir.TensorType(masks[0].dtype), shape=copied_shape(one.shape))
        for one in node.outputs
    ]
    given = [*(mask.value for mask in masks), *rest]
    written = ir.Node("", node.op_type, given, list(node.attributes.values()), outputs=outputs, name=outputs[0].name)
    op.graph.append(written)
    return op.var(outputs[list(node.outputs).index(value)])
