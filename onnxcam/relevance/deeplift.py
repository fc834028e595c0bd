"""DeepLIFT: how the score differs from its value at a baseline, attributed to what differs at a layer.

Source: Shrikumar et al. 2017, the rescale rule (eq. 11 and 12), with the linear rule for all that is linear. A product
of two values that both differ is shared evenly, ``d(ab) = da (b + b')/2 + db (a + a')/2``, which the paper does not
treat. Normalisations and softmax have no rule there; they pass on their gradient, as in captum.
"""

from __future__ import annotations

from functools import cache

import onnx_ir as ir

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, RuleFunction, Table, find_rule, gradient_table
from onnxcam.graph.analysis.reachability import signal_path
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.operators import Trait, operators_with
from onnxcam.relevance.overlay import overlay

_PREFIX = "baseline/"
# Below this share of what a value itself is, a difference is rounding, and the slope is the gradient.
_SMALL = 1e-6
_FUNCTIONS = operators_with(Trait.FUNCTION)
_NEWEST = 10**6


def with_baseline(model: ir.Model, layer: str, score: str) -> ir.Model:
    """Return a model that computes everything after a layer a second time, with zeros instead of the layer."""
    model = model.clone()
    graph = model.graph
    start, end = find_value(graph, layer), find_value(graph, score)
    op = Builder(graph, "zeros")
    zeros = op.var(start) * 0.0
    twins: dict[ir.Value, ir.Value] = {start: zeros.value}
    for node in signal_path(graph, end)[0]:
        if not any(value in twins for value in node.inputs if value is not None):
            continue
        inputs = [None if value is None else twins.get(value, value) for value in node.inputs]
        outputs = [
            ir.Value(name=f"{_PREFIX}{value.name}" if value.name else "", type=value.type, shape=value.shape)
            for value in node.outputs
        ]
        graph.append(
            ir.Node(node.domain, node.op_type, inputs, list(node.attributes.values()), outputs=outputs, name=None)
        )
        twins.update(zip(node.outputs, outputs, strict=True))
    zeros.value.name = f"{_PREFIX}{start.name}"
    graph.sort()
    return model


@cache
def deeplift_table() -> Table:
    """Return the rules for a model with a baseline."""
    gradients = gradient_table()
    known = [op_type for op_type in (*_FUNCTIONS, "MaxPool") if ("", op_type) in gradients]
    return overlay(
        {**{op_type: _rescaled(op_type) for op_type in known}, "Mul": _product}, broadcasts=frozenset({"Mul"})
    )


def _rescaled(op_type: str) -> RuleFunction:
    def rule(op: Builder, node: NodeView, dy: Var) -> Cotangents:
        """Return dy times the change of y over that of x, and the gradient where x hardly changes."""
        plain = find_rule(gradient_table(), "", op_type, _NEWEST)
        assert plain is not None
        gradient = list(plain.function(op, node, dy))
        x0, y0 = _at_baseline(op, node.raw(0)), _at_baseline(op, op.var(node.node.outputs[0]))
        if x0 is None or y0 is None or gradient[0] is None:
            return gradient
        change, moved = node.y - y0, node.x - x0
        if op_type == "MaxPool":
            passed = plain.function(op, node, dy * change)[0]
            assert passed is not None
        else:
            passed = dy * change
        still = op.Abs(moved) <= op.Max(op.Abs(node.x), op.Abs(x0)) * _SMALL
        gradient[0] = op.Where(still, gradient[0], passed / op.Where(still, 1.0, moved))
        return gradient

    return rule


def _product(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """Share a product of two values that both change evenly."""
    means = []
    for index in (0, 1):
        here, there = node.input(index), _at_baseline(op, node.raw(index))
        means.append(here if there is None else (here + there) * 0.5)
    return dy * means[1], dy * means[0]


def _at_baseline(op: Builder, var: Var) -> Var | None:
    """Return a value as it is at the baseline, or None if it is the same there."""
    name = f"{_PREFIX}{var.value.name}"
    value = next((out for node in op.graph for out in node.outputs if out.name == name), None)
    return None if value is None else op.var(value)
