"""A linear layer applied to the numbers of a rule's terms, and its derivative there."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import find_rule, gradient_table
from onnxcam.graph.operators import Trait, operators_with
from onnxcam.relevance.fixed_positions import filled
from onnxcam.relevance.quotients import copied_shape, like
from onnxcam.relevance.rules import LinearRule
from onnxcam.relevance.terms import Term, Values, Weights

_NEWEST = 10**6
_TAKES_BIAS = operators_with(Trait.TAKES_BIAS)


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
        data: position of the input that is data.
        bias: what is added to its result, if it is not the operator's third input; broadcasts against it.
        nonnegative: whether its data cannot be negative: then there is no negative part to compute.
        mask: 1 where its data varies, 0 where padding or other constants stand, which count as a bias; None if all of
            it varies.
    """

    op: Builder
    node: NodeView
    data: int
    bias: Var | None = None
    nonnegative: bool = False
    mask: Var | None = None

    @property
    def may_read_nothing(self) -> bool:
        """Whether a result may be made of padding and bias alone."""
        kind, kernel = self.node.node.op_type, self.node.input(1 - self.data).shape
        sizes = None if kernel is None or kind not in ("Conv", "ConvTranspose") else shapes.static(kernel[2:])
        if self.mask is not None or sizes is None:
            return self.mask is not None or kind in ("Conv", "ConvTranspose")
        strides, dilations, pads = (self.node.integers(name) or [] for name in ("strides", "dilations", "pads"))
        if any(dilation > 1 for dilation in dilations):
            return True
        if kind == "Conv":
            # A window without holes meets the input if it is wider than the padding.
            return any(pad >= size for pad, size in zip(pads, sizes * 2, strict=False))
        grown = any(self.node.integers("output_padding") or []) or self.node.integers("output_shape") is not None
        return grown or any(stride > size for stride, size in zip(strides, sizes, strict=False))

    @property
    def sample_axes(self) -> list[int]:
        """Axes of the data, and of the result, that belong to one sample; all of them where the two lie apart."""
        rank = self.node.rank(self.data)
        apart = self.node.integer("transA", 0) or (self.data == 1 and rank == 2)
        return list(range(0 if apart else 1, rank))

    def apply(self, term: Term, rule: LinearRule, lift: float = 0.0) -> Applied:
        """Write the layer with the numbers of a term, its result raised by ``lift``."""
        op, kind = self.op, self.node.node.op_type
        x = self._values(term.x, rule)
        w, alpha = self.node.input(1 - self.data), self.node.number("alpha", 1.0)
        w = self._weights(w if kind != "Gemm" or alpha == 1 else like(w * alpha, w), term.w)
        bias = self._bias(term, lift, w) if term.bias or lift else None
        inputs = [x.value, w.value] if self.data == 0 else [w.value, x.value]
        if bias is not None and kind in _TAKES_BIAS:
            inputs.append(bias.value)
        kept = [a for name, a in self.node.node.attributes.items() if name not in ("alpha", "beta")]
        result = ir.Value(
            name=op.unique(kind), type=ir.TensorType(x.dtype), shape=copied_shape(self.node.node.outputs[0].shape)
        )
        written = ir.Node("", kind, inputs, kept, outputs=[result], name=result.name)
        op.graph.append(written)
        y = op.var(result)
        view = NodeView(op, written, lambda value: value is x.value)
        return Applied(term, x, view, y if bias is None or kind in _TAKES_BIAS else like(y + bias, y))

    def back(self, applied: Applied, s: Var) -> Var:
        """Return ``x'`` times what the layer's derivative makes of quotients."""
        rule = find_rule(gradient_table(), "", self.node.node.op_type, _NEWEST)
        assert rule is not None
        found = rule.function(self.op, applied.view, s)[self.data]
        assert found is not None
        return found if applied.term.x == "ones" and self.mask is None else found * applied.x

    def _values(self, values: Values, rule: LinearRule) -> Var:
        op, x, mask = self.op, self.node.input(self.data), self.mask
        if values == "ones":
            return filled(op, x, 1.0) if mask is None else mask
        if values in ("above", "below"):
            found = like(x - self._bound(x, rule, lower=values == "above"), x)
            return found if mask is None else like(found * mask, x)
        if mask is not None and not rule.bias:
            x = like(x * mask, x)
        if values == "x" or (values == "positive" and self.nonnegative):
            return x
        return like(op.Relu(x) if values == "positive" else op.Min(x, 0.0), x)

    def _bound(self, x: Var, rule: LinearRule, lower: bool) -> Var:
        """Return the rule's bound, or each sample's own, of what varies there."""
        op, bound = self.op, getattr(rule, "low" if lower else "high")
        if bound is not None:
            return op.const(bound, x.dtype)
        samples = 1 if self.data == 0 and self.node.integer("transA", 0) else 0
        axes = [axis for axis in range(self.node.rank(self.data)) if axis != samples]
        least, most = op.ReduceMin, op.ReduceMax
        if self.mask is not None:
            x = op.Where(self.mask > 0, x, (most if lower else least)(x, axes, keepdims=1))
        return (least if lower else most)(x, axes, keepdims=1)

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

    def _bias(self, term: Term, lift: float, w: Var) -> Var | None:
        """Return what is added to the layer's result, in the form that the operator takes."""
        op, kind, bias = self.op, self.node.node.op_type, None
        if term.bias:
            bias = self.node.input(2) if self.node.has(2) else self.bias
        if bias is not None:
            beta = self.node.number("beta", 1.0)
            bias = op.cast(bias, w.dtype)
            bias = self._weights(bias if kind != "Gemm" or beta == 1 else bias * beta, term.w)
            return bias + lift if lift else bias
        if not lift:
            return None
        if kind not in ("Conv", "ConvTranspose"):
            return op.const(lift, w.dtype)
        # One number a channel of the result; a grouped ConvTranspose has them in groups.
        channels = self.node.input(1 - self.data).shape
        groups = self.node.integer("group", 1) if kind == "ConvTranspose" else 1
        count = shapes.dim_tensor(op, w, 0 if kind == "Conv" else 1)
        assert channels is not None
        return op.Expand(op.const(lift, w.dtype), count if groups == 1 else count * groups)
