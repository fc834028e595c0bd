"""A node at both ends of a change: as it is, at the baseline, and between the two."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, cotangent_type

PREFIX = "baseline/"


class BaselineView(NodeView):
    """A node's copy at the baseline; of the same inputs a cotangent is wanted."""

    def __init__(self, op: Builder, twin: ir.Node, node: NodeView) -> None:
        """Show ``twin``, the copy of ``node``."""
        super().__init__(op, twin, lambda value: False)
        self._here = node

    def needs(self, index: int) -> bool:
        """Whether a cotangent of that input is wanted."""
        return self._here.needs(index)


class BetweenView(NodeView):
    """A node with inputs that lie between those at the baseline and its own; its outputs are its own."""

    def __init__(self, op: Builder, node: NodeView, twin: NodeView, share: float) -> None:
        """Show inputs that have changed by ``share`` of their whole change."""
        super().__init__(op, node.node, lambda value: False)
        self._here, self._there, self._share = node, twin, share

    def needs(self, index: int) -> bool:
        """Whether a cotangent of that input is wanted."""
        return self._here.needs(index)

    def raw(self, index: int) -> Var:
        """The input between the two ends; itself if it is the same at both."""
        here, there = self._here.raw(index), self._there.raw(index)
        if here.value is there.value:
            return here
        here, there = self._here.input(index), self._there.input(index)
        between = there * (1 - self._share) + here * self._share
        between.value.shape = here.value.shape
        return between


class Ends:
    """Finds what a node is at the baseline, in graphs of which it remembers the names."""

    def __init__(self) -> None:
        self._known: dict[ir.Graph, dict[str, ir.Value]] = {}

    def at_baseline(self, op: Builder, node: NodeView) -> BaselineView | None:
        """Return a node at the baseline, or None if it is the same there."""
        graph = op.graph
        if graph not in self._known:
            made = (value for entry in graph for value in entry.outputs)
            self._known[graph] = {str(value.name): value for value in made if str(value.name).startswith(PREFIX)}
        found = self._known[graph].get(f"{PREFIX}{node.node.outputs[0].name}")
        twin = None if found is None else found.producer()
        return None if twin is None else BaselineView(op, twin, node)


def varies(node: NodeView, twin: NodeView, index: int) -> bool:
    """Whether an input differs between the two ends."""
    return node.has(index) and node.raw(index).value is not twin.raw(index).value


def varying(node: NodeView, twin: NodeView) -> list[int]:
    """Return the positions of the inputs that differ."""
    return [index for index in range(node.count) if varies(node, twin, index)]


def wanted(node: NodeView) -> list[int]:
    """Return the positions of the inputs of which a cotangent is wanted."""
    return [index for index in range(node.count) if node.needs(index)]


def numbers(op: Builder, node: NodeView, twin: NodeView, index: int) -> tuple[Var, Var]:
    """Return an input and what it is at the baseline, integers as the real numbers that they are."""
    return _number(op, node.raw(index)), _number(op, twin.raw(index))


def moved(op: Builder, node: NodeView, twin: NodeView, index: int) -> Var:
    """Return how far an input has moved from the baseline; 0 where it is the same infinity at both."""
    return difference(op, *numbers(op, node, twin, index))


def changed(op: Builder, node: NodeView, twin: NodeView, index: int = 0) -> Var:
    """Return how much an output has changed from the baseline."""
    outputs = [op.var(view.node.outputs[index]) for view in (node, twin)]
    return difference(op, *(_number(op, output) for output in outputs))


def difference(op: Builder, here: Var, there: Var) -> Var:
    """Return the difference of two values, 0 also where both are the same infinity."""
    return op.Where(op.Equal(here, there), 0, here - there)


def _number(op: Builder, var: Var) -> Var:
    return op.cast(var, cotangent_type(var.value))
