"""How relevance is propagated through each kind of operator; table.py says which operator is of which kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnxcam.autodiff import lowering
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, find_rule, gradient_table
from onnxcam.graph.analysis.nonnegative import nonnegative
from onnxcam.graph.operators import Trait, operators_with
from onnxcam.relevance.composite import Composite
from onnxcam.relevance.fixed_positions import FixedPositions, filled, hand_over
from onnxcam.relevance.forms.normalised import is_centring
from onnxcam.relevance.gates import gate
from onnxcam.relevance.linear_layer import LinearLayer
from onnxcam.relevance.normalisation_rules import NormalisationRules
from onnxcam.relevance.origins import Origins
from onnxcam.relevance.propagate import propagate
from onnxcam.relevance.quotients import divided, factor, like, refuse, unshared

_NEWEST = 10**6
_POOLED_MEANS = operators_with(Trait.AVERAGES) & operators_with(Trait.POOLS)
# Operators whose derivatives with respect to all that one result reads sum to 1.
_EVEN = operators_with(Trait.AVERAGES)


class OperatorRules:
    """Rules of relevance for each kind of operator, for one composite on one graph, whose properties they remember."""

    def __init__(self, composite: Composite, origins: Origins) -> None:
        self.composite = composite
        self.origins = origins
        self.fixed = FixedPositions(origins)
        self.normalisations = NormalisationRules(composite, origins)
        self._signs: dict[ir.Graph, set[ir.Value]] = {}

    def linear(self, op: Builder, node: NodeView, r: Var) -> Cotangents:
        """A layer by its rule; a product of two varying values in proportion, half to each."""
        data = self.origins.data_input(node.node)
        if data is None:
            return self.in_proportion(op, node, r)
        rule = self.composite.rule(node.node.op_type, self.origins.is_first(node.node))
        value = node.node.inputs[data]
        signs, mask = self._nonnegative(op), self.fixed.mask(op, value)
        layer = LinearLayer(op, node, data, self._added(op, node), value in signs, mask)
        found = propagate(layer, rule, r, self.composite.spread)
        return [found if i == data else None for i in range(node.count)]

    def passed(self, op: Builder, node: NodeView, r: Var) -> Cotangents:
        """Unchanged, to the first input."""
        return (r,)

    def filling(self, op: Builder, node: NodeView, r: Var) -> Cotangents:
        """As its derivative; spread, what falls on constants goes to the numbers beside them."""
        if not self.composite.spread or not self.fixed.fills(node.node):
            return _derivative(op, node, r)
        mask = self.fixed.whole(op, node.node.outputs[0])
        found = _derivative(op, node, like(r * mask, node.y))
        read = [value for value, one in zip(node.node.inputs, found, strict=False) if value is not None and one]
        return hand_over(op, node, r, mask, [self.fixed.whole(op, value) for value in read], found)

    def in_proportion(self, op: Builder, node: NodeView, r: Var) -> Cotangents:
        """Each number's share of the result, which its derivative times itself is; even shares among varying inputs."""
        varying = self._varying(node)
        if len(varying) > 1 and node.node.op_type not in ("MatMul", "Einsum"):
            raise refuse(node, "more than one of its inputs depends on the model's input")
        if self.composite.rectified_pools and node.node.op_type in _POOLED_MEANS:
            node = written_again(op, node, like(op.Relu(node.x), node.raw(0)))
        s = divided(op, r, node.y, self.composite.stabilizer)
        s = s if len(varying) == 1 else s * (1 / len(varying))
        found = _derivative(op, node, like(s, node.y))
        shares = [None if d is None else d * node.input(i) for i, d in enumerate(found)]
        if not self.composite.spread or len(varying) > 1 or node.node.op_type in ("MatMul", "Einsum"):
            return shares
        rest = self._even(op, node, like(unshared(op, r, node.y), node.y), varying[0])
        return [None if share is None or d is None else share + d for share, d in zip(shares, rest, strict=True)]

    def _even(self, op: Builder, node: NodeView, r: Var, index: int) -> Cotangents:
        """Relevance divided evenly among what varies of what each result is the sum of."""
        value = node.node.inputs[index]
        mask = self.fixed.mask(op, value)
        if mask is None and node.node.op_type in _EVEN and not _counts_padding(node):
            return _derivative(op, node, r)
        mask = filled(op, node.input(index), 1.0) if mask is None else mask
        count = written_again(op, node, mask).y
        empty = lowering.complement(op, lowering.step(op, count))
        parts = r * lowering.complement(op, empty) / (count + empty), r * empty
        found, rest = (_derivative(op, node, like(part, r)) for part in parts)
        return [
            None if one is None or other is None else one * mask + other for one, other in zip(found, rest, strict=True)
        ]

    def sum(self, op: Builder, node: NodeView, r: Var) -> Cotangents:
        """Varying summands share in proportion; constants are biases, and receive nothing."""
        varying = self._varying(node)
        if len(varying) == 2 and is_centring(node.node):
            return [self.normalisations.centred(op, node, r), None]
        if len(varying) == 1 and not self.normalisations.absorbs(node.node, varying[0]):
            return [r if i in varying else None for i in range(node.count)]
        signs = [-1.0 if node.node.op_type == "Sub" and i else 1.0 for i in varying]
        values = [node.input(i) for i in varying]
        total = node.y if len(varying) == 1 else values[0]
        for value, sign in zip(values[1:], signs[1:], strict=True):
            total = total + value if sign > 0 else total - value
        s = self._rectified_quotient(op, node, r) if len(varying) == node.count else None
        s = divided(op, r, total, self.composite.stabilizer) if s is None else s
        shares = {
            i: s * value if sign > 0 else -s * value for i, value, sign in zip(varying, values, signs, strict=True)
        }
        if self.composite.spread:
            even = self._even_among(op, [node.node.inputs[i] for i in varying], unshared(op, r, total))
            shares = {i: share + part for (i, share), part in zip(shares.items(), even, strict=True)}
        return [shares.get(i) for i in range(node.count)]

    def _even_among(self, op: Builder, values: Sequence[ir.Value | None], r: Var) -> list[Var]:
        """Relevance divided evenly among summands, at each position among those that vary there, if any do."""
        masks = [self.fixed.mask(op, value) for value in values]
        if all(mask is None for mask in masks):
            return [r * (1 / len(values))] * len(values)
        ones = [op.const(1.0, r.dtype) if mask is None else mask for mask in masks]
        count = op.Sum(*ones)
        empty = lowering.complement(op, lowering.step(op, count))
        return [r * (one + empty) / (count + empty * float(len(values))) for one in ones]

    def _rectified_quotient(self, op: Builder, node: NodeView, r: Var) -> Var | None:
        """Return relevance over a sum that only a Relu reads, where it is the result of that Relu times something.

        Such relevance is 0 where the sum is negative, and its quotient by the sum is that something: the two products
        and divisions at each shortcut of a residual network then are one mask.
        """
        total = node.node.outputs[0]
        readers = [use.node for use in total.uses() if not op.wrote(use.node.outputs[0])]
        if len(readers) != 1 or readers[0].op_type != "Relu" or total.is_graph_output():
            return None
        y = op.var(readers[0].outputs[0])
        found = factor(op, r, y.value)
        if found is None:
            return None
        stabilizer = self.composite.stabilizer
        return like(r / (y + stabilizer) if stabilizer else found * lowering.step(op, y), y)

    def product(self, op: Builder, node: NodeView, r: Var) -> Cotangents:
        """All to the features, none to their gate or divisor; a product of two equals is shared evenly."""
        varying = self._varying(node)
        if len(varying) == 2:
            chosen = gate(node.node, self.origins)
            if chosen is None:
                return [r * 0.5, r * 0.5]
            varying = [1 - chosen]
        return [r if i in varying else None for i in range(node.count)]

    def extremum(self, op: Builder, node: NodeView, r: Var) -> Cotangents:
        """As an activation where one input varies; else to the largest, or smallest."""
        varying = self._varying(node)
        if len(varying) == 1:
            return [r if i in varying else None for i in range(node.count)]
        return _derivative(op, node, r)

    def max_pool(self, op: Builder, node: NodeView, r: Var) -> Cotangents:
        """To the largest of each window; rectified, only where that is positive."""
        mask = self.fixed.mask(op, node.node.inputs[0]) if self.composite.spread else None
        if mask is not None:
            # Of equals the first receives it: padding is lower than any number.
            lowest = op.const(np.finfo(node.x.dtype.numpy()).min, node.x.dtype)
            node = written_again(op, node, like(op.Where(mask > 0, node.x, lowest), node.raw(0)))
        read = node.node.inputs[0] in self._nonnegative(op) and factor(op, r, node.node.outputs[0]) is not None
        if self.composite.rectified_pools and not read and not self.composite.spread:
            r = like(op.Where(node.y > 0, r, 0), node.y)
        return _derivative(op, node, r)

    def softmax(self, op: Builder, node: NodeView, r: Var) -> Cotangents:
        """x (R - y sum(R)).

        Source: Achtibat et al. 2024 (AttnLRP), prop. 3.1.
        """
        return (node.x * (r - node.y * op.ReduceSum(r, [node.integer("axis", -1)], keepdims=1)),)

    def _nonnegative(self, op: Builder) -> set[ir.Value]:
        if op.graph not in self._signs:
            self._signs[op.graph] = nonnegative(op.graph)
        return self._signs[op.graph]

    def _varying(self, node: NodeView) -> list[int]:
        return [i for i, value in enumerate(node.node.inputs) if self.origins.varies(value)]

    def _added(self, op: Builder, node: NodeView) -> Var | None:
        """Return the constant that the only reader of a product adds to it: exporters write biases so."""
        result = node.node.outputs[0]
        readers = [use.node for use in result.uses() if not op.wrote(use.node.outputs[0])]
        if node.node.op_type != "MatMul" or len(readers) != 1 or readers[0].op_type != "Add":
            return None
        others = [value for value in readers[0].inputs if value is not result]
        if len(others) != 1 or others[0] is None or self.origins.varies(others[0]):
            return None
        shape = others[0].shape
        return None if shape is None or any(dim != 1 for dim in shape.dims[:-1]) else op.var(others[0])


def written_again(op: Builder, node: NodeView, x: Var) -> NodeView:
    """Write an operator once more, for another first input of the same shape."""
    y = node.y
    result = ir.Value(name=op.unique(node.node.op_type), type=ir.TensorType(y.dtype))
    kept, inputs = list(node.node.attributes.values()), [x.value, *node.node.inputs[1:]]
    written = ir.Node("", node.node.op_type, inputs, kept, outputs=[result], name=result.name)
    op.graph.append(written)
    like(op.var(result), y)
    return NodeView(op, written, lambda value: value is x.value)


def _counts_padding(node: NodeView) -> bool:
    """Whether an average counts positions of its own padding, which receive nothing."""
    return bool(node.integer("count_include_pad", 0))


def _derivative(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    rule = find_rule(gradient_table(), "", node.node.op_type, _NEWEST)
    assert rule is not None
    return rule.function(op, node, dy)
