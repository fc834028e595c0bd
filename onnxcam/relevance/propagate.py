"""The one way in which relevance passes a linear layer: the layer again with the numbers of a rule, and back.

Every rule's shares are terms ``w' x'``. The layer is applied to each term's numbers, the relevance divided by the sum,
and the layer's own derivative takes the quotients back, so that all strides, groups and paddings are the operator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnxcam.autodiff import lowering, shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import find_rule, gradient_table
from onnxcam.errors import UnsupportedError
from onnxcam.relevance.rules import Group, LinearRule, Term, Values, Weights

_NEWEST = 10**6


@dataclass(frozen=True, eq=False)
class Applied:
    """The layer, applied to a term's numbers.

    Attributes:
        term: which.
        x: what stands for the input.
        view: the node that was written.
        y: its result, bias included if the term has one.
    """

    term: Term
    x: Var
    view: NodeView
    y: Var


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """A linear operator, one of whose first two inputs is data and the other weights.

    Attributes:
        op: where to write.
        node: the operator.
        place: which input is data.
        bias: what is added to its result, if it is not the operator's third input; broadcasts against it.
        nonnegative: whether its data cannot be negative: then there is no negative part to compute.
    """

    op: Builder
    node: NodeView
    place: int
    bias: Var | None = None
    nonnegative: bool = False

    def apply(self, term: Term, rule: LinearRule) -> Applied:
        """Write the layer with the numbers of a term."""
        op, kind = self.op, self.node.node.op_type
        x = self._values(term.x, rule)
        w, alpha = self.node.input(1 - self.place), self.node.number("alpha", 1.0)
        w = self._weights(w if kind != "Gemm" or alpha == 1 else like(w * alpha, w), term.w)
        inputs = [x.value, w.value] if self.place == 0 else [w.value, x.value]
        kept = [a for name, a in self.node.node.attributes.items() if name not in ("alpha", "beta")]
        result = ir.Value(
            name=op.unique(kind), type=ir.TensorType(x.dtype), shape=_copied(self.node.node.outputs[0].shape)
        )
        written = ir.Node("", kind, inputs, kept, outputs=[result], name=result.name)
        op.graph.append(written)
        y = op.var(result)
        bias = self._bias(term, x) if term.bias else None
        view = NodeView(op, written, lambda value: value is x.value)
        return Applied(term, x, view, y if bias is None else like(y + bias, y))

    def back(self, applied: Applied, s: Var) -> Var:
        """Return ``x'`` times what the layer's derivative makes of quotients."""
        rule = find_rule(gradient_table(), "", self.node.node.op_type, _NEWEST)
        assert rule is not None
        found = rule.function(self.op, applied.view, s)[self.place]
        assert found is not None
        return found if applied.term.x == "ones" else found * applied.x

    def _values(self, values: Values, rule: LinearRule) -> Var:
        op, x = self.op, self.node.input(self.place)
        if values == "x" or (values == "positive" and self.nonnegative):
            return x
        if values in ("positive", "negative"):
            return like(op.Relu(x) if values == "positive" else op.Min(x, 0.0), x)
        if values == "ones":
            return like(op.Expand(op.const(1.0, x.dtype), shapes.shape_tensor(op, x)), x)
        bound = getattr(rule, values)
        if bound is None:
            samples = 1 if self.place == 0 and self.node.integer("transA", 0) else 0
            axes = [axis for axis in range(self.node.rank(self.place)) if axis != samples]
            fixed = op.ReduceMin(x, axes, keepdims=1) if values == "low" else op.ReduceMax(x, axes, keepdims=1)
        else:
            fixed = op.const(bound, x.dtype)
        return like(op.Expand(fixed, shapes.shape_tensor(op, x)), x)

    def _weights(self, w: Var, weights: Weights) -> Var:
        op = self.op
        if weights == "square":
            return like(w * w, w)
        if weights == "ones":
            return like(op.Expand(op.const(1.0, w.dtype), shapes.shape_tensor(op, w)), w)
        plus, minus = weights
        if plus == minus:
            return w if plus == 1 else like(w * plus, w)
        if not minus:
            return like(op.Relu(w) * plus if plus != 1 else op.Relu(w), w)
        if not plus:
            return like(op.Min(w, 0.0) * minus if minus != 1 else op.Min(w, 0.0), w)
        return like(op.Relu(w) * plus + op.Min(w, 0.0) * minus, w)

    def _bias(self, term: Term, x: Var) -> Var | None:
        op, bias = self.op, self.bias
        if self.node.has(2):
            bias = self.node.input(2)
            if self.node.node.op_type == "Gemm":
                beta = self.node.number("beta", 1.0)
                bias = bias if beta == 1 else bias * beta
            else:
                bias = op.Reshape(bias, [1, -1, *[1] * (self.node.rank(self.place) - 2)])
        return None if bias is None else self._weights(op.cast(bias, x.dtype), term.w)


def propagate(layer: LinearLayer, rule: LinearRule, r: Var) -> Var:
    """Return the relevance of a linear layer's input, given that of its result."""
    parts = [part for group in rule.groups for part in _passed_by(layer, rule, group, r)]
    return parts[0] if len(parts) == 1 else layer.op.Sum(*parts)


def _passed_by(layer: LinearLayer, rule: LinearRule, group: Group, r: Var) -> list[Var]:
    """Return what each term of a group passes on."""
    op = layer.op
    terms = [term for term in group.terms if term.x != "negative" or not layer.nonnegative]
    applied = [layer.apply(term, rule) for term in terms]
    if group.outputs != "all":
        y = layer.apply(Term("x", (1.0, 1.0), rule.bias), rule).y
        r = op.Where(y > 0 if group.outputs == "positive" else y < 0, r, 0)
    s = divided(op, r, _total([(part.y, part.term.sign) for part in applied]), rule.stabilizer, group.nonnegative)
    s = like(s, applied[0].y)
    found = [(layer.back(part, s), part.term.sign * group.factor) for part in applied]
    return [part if factor == 1 else part * factor for part, factor in found]


def _total(parts: Sequence[tuple[Var, float]]) -> Var:
    total, sign = parts[0]
    total = total if sign > 0 else -total
    for part, sign in parts[1:]:
        total = total + part if sign > 0 else total - part
    return total


def divided(op: Builder, r: Var, z: Var, stabilizer: float, nonnegative: bool = False) -> Var:
    """Return ``r / z`` with the size of ``z`` raised by a stabilizer; with none, 0 where ``z`` is 0.

    Written with masks that onnxruntime keeps in the blocked layout of its convolutions, which it leaves for Where.
    """
    if stabilizer:
        if nonnegative:
            return r / (z + stabilizer)
        return r / (z + (lowering.step_down(op, z, 0.0) * (-2 * stabilizer) + stabilizer))
    some = lowering.step(op, z)
    some = some if nonnegative else some + lowering.step_down(op, z, 0.0)
    return r * some / (z + lowering.complement(op, some))


def like(var: Var, other: Var) -> Var:
    """Say that a value that was just written has the shape of another: the derivatives want to know."""
    if var.value is not other.value and var.value.shape is None:
        var.value.shape = _copied(other.value.shape)
    return var


def _copied(shape: ir.Shape | None) -> ir.Shape | None:
    return None if shape is None else shape.copy()


def refuse(node: NodeView, why: str) -> UnsupportedError:
    """Return the error for an operator that relevance cannot pass as it stands."""
    name = node.node.name or node.node.outputs[0].name
    return UnsupportedError(f"no rule of relevance for {node.node.op_type} '{name}': {why}; use a gradient method")
