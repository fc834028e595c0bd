"""Guided backpropagation: at every activation, only positive gradients are propagated.

Source: Springenberg et al. 2015, sec. 3.4: ``g_in = g_out [x > 0] [g_out > 0]`` at a ReLU. The paper knows no other
activation. Here those that replaced it are treated likewise, ``g_in = relu(g_out) f'(x)``: Clip from 0 on (ReLU6),
the leaky, exponential and smooth ones, the same written out, such as ``max(x, 0)``, ``x sigmoid(x)`` and
``x (1 + erf(x / sqrt 2)) / 2``, and rounding to numbers of which 0 is the smallest, which is how quantised networks
have their ReLUs. Functions of bounded range, such as Sigmoid and Tanh, alone or as a gate, keep their
gradient.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import onnx_ir as ir

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, Rule, Table, gradient_table
from onnxcam.graph.analysis.nonnegative import nonnegative
from onnxcam.graph.analysis.quantization import MICROSOFT, optional_input, quantization, real_operator
from onnxcam.relevance.forms.activations import ACTIVATIONS, is_activation

_ROUNDED = (
    ("", "QuantizeLinear"),
    *((domain, op_type) for op_type in ("QLinearConv", "QLinearMatMul") for domain in ("", MICROSOFT)),
    *((MICROSOFT, "QLinearAdd"), (MICROSOFT, "QGemm"), (MICROSOFT, "QuantizeLinear")),
)


def guided_table() -> Table:
    """Return the gradient's rules with those of activations guided; it remembers the graph that it is used on."""
    table = dict(gradient_table())
    guided = Guided()
    for key in (*(("", op_type) for op_type in ACTIVATIONS), *_ROUNDED):
        if key in table:
            table[key] = tuple(guided.rule(rule) for rule in table[key])
    return MappingProxyType(table)


class Guided:
    """The rules of one backward pass, for one graph whose non-negative values they remember."""

    def __init__(self) -> None:
        self._signs: dict[ir.Graph, set[ir.Value]] = {}

    def rule(self, plain: Rule) -> Rule:
        """Return a rule that propagates only positive gradients through an activation."""

        def function(op: Builder, node: NodeView, dy: Var) -> Cotangents:
            """Return the gradient, at an activation that of the positive part of ``dy``."""
            stops = is_activation(node.node) or self.cuts_off(op.graph, node.node)
            result: Cotangents = plain.function(op, node, op.Relu(dy) if stops else dy)
            return result

        return replace(plain, function=function)

    def cuts_off(self, graph: ir.Graph, node: ir.Node) -> bool:
        """Whether a node rounds to numbers of which 0 is the smallest what might be smaller."""
        if (node.domain, node.op_type) not in _ROUNDED or not _starts_at_zero(node.outputs[0]):
            return False
        if node.op_type == "QuantizeLinear":
            return node.inputs[0] not in self._known(graph)
        read = real_operator(node)
        operands = [] if read is None else [optional_input(node, numbers.value) for numbers in read.operands]
        return not all(value is not None and _starts_at_zero(value) for value in operands)

    def _known(self, graph: ir.Graph) -> set[ir.Value]:
        if graph not in self._signs:
            self._signs[graph] = nonnegative(graph)
        return self._signs[graph]


def _starts_at_zero(value: ir.Value) -> bool:
    """Whether the smallest of the numbers that a quantised value can have stands for 0."""
    found = quantization(value)
    zero = None if found is None or found[1] is None else found[1].const_value
    if zero is None or value.dtype is None:
        return found is not None and found[1] is None and value.dtype == ir.DataType.UINT8
    numbers = zero.numpy()
    return bool(np.issubdtype(numbers.dtype, np.integer) and (numbers == np.iinfo(numbers.dtype).min).all())
