"""Which values are normalised: results of a normalisation, also scaled and shifted by constants."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from onnxcam.graph.operators import Trait, operators_with
from onnxcam.relevance.forms.affine import is_statistic
from onnxcam.relevance.gates import is_normaliser
from onnxcam.relevance.origins import Origins

# Normalisations by a value's own statistics. Those with stored statistics are constants for each channel.
NORMALISATIONS = operators_with(Trait.NORMALISES) - {"BatchNormalization", "LRN"}
_MOVES = operators_with(Trait.RESHAPES | Trait.COPIES | Trait.CONVERTS) | {"Transpose"}
_AFFINE = ("Add", "Sub", "Mul", "Div")


class Normalised:
    """Finds normalised values of one graph, to which nodes may be added; results are kept."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._known: dict[ir.Value, bool] = {}

    def __call__(self, value: ir.Value | None) -> bool:
        """Whether a value is the result of a normalisation, moved, scaled and shifted by constants or not at all."""
        passed: list[ir.Value] = []
        found = False
        while value is not None and value not in self._known:
            passed.append(value)
            node = value.producer()
            if node is None or node.domain or value is not node.outputs[0]:
                break
            found = node.op_type in NORMALISATIONS or is_centring(node) or any(self.is_divided(node, i) for i in (0, 1))
            before = None if found else self._before(node)
            if before is None:
                break
            value = before
        found = found or (value is not None and self._known.get(value, False))
        self._known.update(dict.fromkeys(passed, found))
        return found

    def scaling(self, value: ir.Value, wrote: Callable[[ir.Value], bool]) -> list[tuple[ir.Node, int]]:
        """Return the nodes that scale a value, one after the other, by constants or statistics of its own.

        Args:
            value: where to begin.
            wrote: says of a value that it is none of the network's.

        Returns:
            Each node with the position of the input that is scaled; the first one is the value's only reader of this
            kind, the others are the only readers at all.
        """
        found: list[tuple[ir.Node, int]] = []
        while True:
            uses = [use for use in value.uses() if not wrote(use.node.outputs[0])]
            fitting = [use for use in uses if self._scales(use.node, use.idx)]
            if len(fitting) != 1 or (found and len(uses) != 1):
                return found
            found.append((fitting[0].node, fitting[0].idx))
            value = fitting[0].node.outputs[0]

    def following(self, value: ir.Value, wrote: Callable[[ir.Value], bool]) -> tuple[ir.Node, int] | None:
        """Return the only reader of a value, after it was moved and scaled by constants, and which input it is there.

        None where several nodes read it on the way.
        """
        while True:
            uses = [use for use in value.uses() if not wrote(use.node.outputs[0])]
            if len(uses) != 1:
                return None
            node, index = uses[0].node, uses[0].idx
            if node.domain or not ((node.op_type in _MOVES and index == 0) or self._scales(node, index)):
                return node, index
            value = node.outputs[0]

    def _scales(self, node: ir.Node, index: int) -> bool:
        if node.domain or node.op_type not in (("Mul",) if index else ("Mul", "Div")):
            return False
        return not self._origins.varies(node.inputs[1 - index]) or self.is_divided(node, index)

    def names(self, graph: ir.Graph) -> set[str]:
        """Return the names of all such values."""
        return {str(value.name) for node in graph for value in node.outputs[:1] if self(value)}

    def _before(self, node: ir.Node) -> ir.Value | None:
        """Return what a node moves, or scales or shifts by constants."""
        if node.op_type in _MOVES:
            return node.inputs[0]
        varying = [value for value in node.inputs if self._origins.varies(value)]
        return varying[0] if node.op_type in _AFFINE and len(varying) == 1 else None

    def is_divided(self, node: ir.Node, index: int) -> bool:
        """Whether a node multiplies one of its inputs by a statistic of that input, or divides it."""
        if node.domain or node.op_type not in (("Mul",) if index else ("Mul", "Div")):
            return False
        return self._is_statistic(node.inputs[1 - index], node.inputs[index])

    def _is_statistic(self, factor: ir.Value | None, x: ir.Value | None) -> bool:
        """Whether a factor is a statistic of a value, or of what that is centred from, each times constants or not."""
        factor, plain = self._unscaled(factor), self._unscaled(x)
        if factor is None or x is None or plain is None or factor.shape is None or x.shape is None:
            return False
        if len(factor.shape) != len(x.shape) or not self._origins.varies(factor):
            return False
        sizes = enumerate(zip(factor.shape.dims, x.shape.dims, strict=True))
        axes = frozenset(axis for axis, (own, other) in sizes if own == 1 and other != 1)
        centring = plain.producer()
        sources = {x, plain, centring.inputs[0] if centring is not None and is_centring(centring) else None}
        return bool(axes) and any(
            source is not None and is_statistic(factor, source, axes, self._origins) for source in sources
        )

    def _unscaled(self, value: ir.Value | None) -> ir.Value | None:
        """Return what a value is a constant times."""
        while value is not None and (node := value.producer()) is not None and node.op_type in ("Mul", "Div"):
            varying = [entry for entry in node.inputs if self._origins.varies(entry)]
            if len(varying) != 1 or (node.op_type == "Div" and varying[0] is not node.inputs[0]):
                break
            value = varying[0]
        return value


def is_centring(node: ir.Node) -> bool:
    """Whether a node takes from a value its own mean."""
    return node.op_type == "Sub" and is_normaliser(node)
