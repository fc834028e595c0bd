"""Linear operators as units: a MatMul and the Add after it, which holds its bias, are one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from onnxcam.graph.analysis.channelwise import constant
from onnxcam.graph.analysis.linear_weights import Weights, weights_of


@dataclass(frozen=True, eq=False)
class LinearUnit:
    """A linear operator; of a MatMul, the Add after it too.

    Attributes:
        node: the operator.
        add: what adds a constant to a MatMul's result, if something does.
        weights: of both.
    """

    node: ir.Node
    add: ir.Node | None
    weights: Weights

    @property
    def nodes(self) -> list[ir.Node]:
        """The nodes that it is made of."""
        return [self.node] if self.add is None else [self.node, self.add]

    @property
    def source(self) -> ir.Value:
        """What it is applied to."""
        source = self.node.inputs[0]
        assert source is not None
        return source

    @property
    def is_biased(self) -> bool:
        """Whether the operator adds something already, be it zero."""
        return self.add is not None or len(self.node.inputs) > 2

    def channel(self, value: ir.Value) -> int | None:
        """Return which axis of its input or result holds channels, or None where that is not known."""
        if self.node.op_type != "MatMul":
            return 1
        return None if value.shape is None else len(value.shape) - 1


def unit_giving(value: ir.Value, alone: Callable[[ir.Value], bool]) -> LinearUnit | None:
    """Return the linear unit whose result is a value.

    Args:
        value: the result.
        alone: whether one node reads a value, once, and nothing else needs it.
    """
    node = value.producer()
    if node is None:
        return None
    if node.op_type == "Add" and not node.domain:
        products = [entry for entry in node.inputs if entry is not None and entry.const_value is None]
        product = products[0].producer() if len(products) == 1 else None
        if product is None or product.op_type != "MatMul" or not alone(products[0]):
            return None
        return _unit(product, node)
    return _unit(node)


def unit_reading(value: ir.Value, alone: Callable[[ir.Value], bool]) -> LinearUnit | None:
    """Return the linear unit that is applied to a value which one node reads.

    Args:
        value: what the unit is applied to.
        alone: whether one node reads a value, once, and nothing else needs it.
    """
    node = value.consumers()[0] if value.consumers() else None
    if node is None or node.inputs[0] is not value or node.attributes.get_int("transA", 0) != 0:
        return None
    result = node.outputs[0]
    if node.op_type == "MatMul" and alone(result) and result.consumers()[0].op_type == "Add":
        unit = _unit(node, result.consumers()[0])
        if unit is not None:
            return unit
    return _unit(node)


def _unit(node: ir.Node, add: ir.Node | None = None) -> LinearUnit | None:
    added = None
    if add is not None:
        added = next((found for index in (0, 1) if (found := constant(add, index)) is not None), None)
        if added is None:
            return None
    weights = weights_of(node, added)
    return None if weights is None else LinearUnit(node, add, weights)
