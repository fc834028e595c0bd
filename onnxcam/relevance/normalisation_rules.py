"""Rules of relevance for normalisations by a value's own statistics, and for constants that are added.

Achtibat et al. 2024 (AttnLRP), sec. 3.3.3: ``y = scale (x - mean) / g(x) + shift`` is taken apart. The mean, the scale
and the shift are linear, and follow the epsilon rule; the division by ``g(x)`` follows the identity rule (prop. 3.4),
as if ``g(x)`` were constant. So the shift takes the share of a bias, and

    R_i = x_i sum_j D_j (delta_ij - 1/n) R_j / (y_j + eps sign(y_j)),    D_j = scale_j / g(x),

where RMSNorm has neither ``1/n`` nor a shift, and passes relevance unchanged. The authors' code (lxt 2.1,
``explicit.functional.layer_norm``) computes the same, with ``y_j + eps`` whatever the sign. Here the stabilizer has the
sign of what it is added to, as in all other rules. The paper treats LayerNorm and RMSNorm; InstanceNorm, GroupNorm and
any other mean that is taken from its values are treated likewise.

This holds where a composite's rule of dense layers has shares of both signs. Rules whose shares cannot be negative (z+,
excitation backprop, FG-CAM) keep relevance of one sign; with them a normalisation passes relevance unchanged, shift
included, which is prop. 3.4 for the whole layer, and what zennit does at normalisations.
"""

from __future__ import annotations

from functools import partial

import onnx_ir as ir

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, RuleFunction
from onnxcam.autodiff.rules import normalization as derivatives
from onnxcam.relevance.composite import Composite
from onnxcam.relevance.forms.normalised import Normalised
from onnxcam.relevance.origins import Origins
from onnxcam.relevance.quotients import divided, like
from onnxcam.relevance.rules import LinearRule

# Derivatives with the deviation fixed, of the normalisations that subtract a mean; others pass relevance unchanged.
CENTRING: dict[str, RuleFunction] = {
    "LayerNormalization": partial(derivatives.layer_normalization, fixed=True),
    "InstanceNormalization": partial(derivatives.instance_normalization, fixed=True),
    "GroupNormalization": partial(derivatives.group_normalization, fixed=True),
    "MeanVarianceNormalization": partial(derivatives.mean_variance_normalization, fixed=True),
}
# From here on GroupNormalization has a scale for each channel.
_SCALE_OF_CHANNELS = 21


class NormalisationRules:
    """Rules of normalisations and of added constants, for one composite on one graph."""

    def __init__(self, composite: Composite, origins: Origins) -> None:
        self._origins = origins
        self._rule = _signed(composite)
        self._normalised = Normalised(origins)

    def operator(self, op: Builder, node: NodeView, r: Var) -> Cotangents:
        """Return the relevance of what one operator normalises."""
        if self._rule is None:
            return (r,)
        s = divided(op, r, self._sum(op, node), self._stabilizer(op, node.node.outputs[0]))
        found = _with_fixed_deviation(op, node)(op, node, like(s, node.y))[0]
        assert found is not None
        return (found * node.x,)

    def centred(self, op: Builder, node: NodeView, r: Var) -> Var:
        """Return the relevance of a value that a node takes its mean from."""
        if self._rule is None:
            return r
        factors: list[tuple[str, Var]] = []
        y = node.y
        for reader, index in self._normalised.scaling(node.node.outputs[0], op.wrote):
            view = NodeView(op, reader, lambda value: False)
            y, factors = view.y, [*factors, (reader.op_type, view.input(1 - index))]
        s = divided(op, r, y, self._stabilizer(op, y.value))
        for kind, factor in factors:
            s = s * factor if kind == "Mul" else s / factor
        mean = node.node.inputs[1]
        producer = None if mean is None else mean.producer()
        assert producer is not None
        return node.x * (s - _mean(op, producer, like(s, node.y)))

    def absorbs(self, node: ir.Node, index: int) -> bool:
        """Whether a constant that is added to an input takes its share, which is then lost.

        It does where it is the shift of a normalisation, and where it has a number for each position, as encodings of
        positions have. A number for each channel, or for all, is what BatchNormalization and activations are written
        with, and takes none; nor does what is added before the first layer, where the network's input is prepared.
        """
        if self._rule is None or not self._rule.bias:
            return False
        if self._normalised(node.inputs[index]):
            return True
        constants = [value for i, value in enumerate(node.inputs) if i != index and value is not None]
        return any(_for_each_position(value) for value in constants) and not self._origins.is_first(node)

    def _sum(self, op: Builder, node: NodeView) -> Var:
        """Return what relevance is divided by: the result, without its shift where a bias takes no share."""
        assert self._rule is not None
        if self._rule.bias or not node.has(2):
            return node.y
        shift = node.input(2)
        if node.node.op_type != "LayerNormalization":
            shift = derivatives.per_channel(op, shift, node.rank())
        return like(node.y - shift, node.y)

    def _stabilizer(self, op: Builder, value: ir.Value) -> float:
        """Return what raises the size of a normalised value; 0 where its shift has already had it.

        Relevance then is a multiple of the value, and their quotient no larger where that is small.
        """
        assert self._rule is not None
        found = self._normalised.following(value, op.wrote)
        shifted = found is not None and found[0].op_type in ("Add", "Sub") and self.absorbs(*found)
        return 0.0 if shifted else self._rule.stabilizer


def _signed(composite: Composite) -> LinearRule | None:
    """Return the rule of dense layers where its shares have both signs, else None."""
    rule = composite.rule("Gemm", False)
    return None if all(group.nonnegative for group in rule.groups) else rule


def _with_fixed_deviation(op: Builder, node: NodeView) -> RuleFunction:
    old = op.graph.opset_imports.get("", _SCALE_OF_CHANNELS) < _SCALE_OF_CHANNELS
    if node.node.op_type == "GroupNormalization" and old:
        return partial(derivatives.group_normalization_18, fixed=True)
    return CENTRING[node.node.op_type]


def _mean(op: Builder, node: ir.Node, s: Var) -> Var:
    """Return the mean of quotients, over the axes that a node takes a mean over."""
    inputs = [s, *(op.var(value) for value in node.inputs[1:] if value is not None)]
    if node.op_type == "GlobalAveragePool":
        return op.GlobalAveragePool(*inputs)
    return op.ReduceMean(*inputs, keepdims=1)


def _for_each_position(value: ir.Value) -> bool:
    """Whether a constant differs along more than one axis."""
    return value.shape is not None and sum(dim != 1 for dim in value.shape.dims) > 1
