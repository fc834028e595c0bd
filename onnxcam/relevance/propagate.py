"""Propagation of relevance through a linear layer, the same code for every rule.

Every rule's shares are terms ``w' x'``. The layer is applied to each term's numbers, the relevance divided by the sum,
and the layer's own derivative takes the quotients back, so that all strides, groups and paddings are the operator's.
"""

from __future__ import annotations

from onnxcam.autodiff import lowering
from onnxcam.autodiff.builder import Var
from onnxcam.relevance.fixed_positions import even_shares, filled
from onnxcam.relevance.linear_layer import LinearLayer
from onnxcam.relevance.quotients import divided, like
from onnxcam.relevance.rules import Flat, LinearRule
from onnxcam.relevance.terms import Group, Term

# Added to sums of shares that are not negative where no stabilizer is, so that dividing by them stays finite; it
# changes no float32 sum above 2^-56. Where such a sum is 0 so is each share: whatever finite number its quotient is, it
# is taken back as 0.
_TINY = 2.0**-80


def propagate(layer: LinearLayer, rule: LinearRule, r: Var, spread: bool = False) -> Var:
    """Return the relevance of a linear layer's input, given that of its result.

    Args:
        layer: the layer.
        rule: what the shares are.
        r: relevance of its result.
        spread: divide what a stabilizer takes, or belongs to a sum without shares, evenly among all that the result
            is made of; of sums that cannot be negative.
    """
    parts = [part for group in rule.groups for part in _passed_by(layer, rule, group, r, spread)]
    return parts[0] if len(parts) == 1 else layer.op.Sum(*parts)


def _passed_by(layer: LinearLayer, rule: LinearRule, group: Group, r: Var, spread: bool) -> list[Var]:
    """Return what each term of a group passes on, and what it spreads."""
    op = layer.op
    terms = [term for term in group.terms if term.x != "negative" or not layer.nonnegative]
    # Raised by the layer's own bias, which onnxruntime adds in the same kernel.
    lift = (rule.stabilizer or _TINY) if group.nonnegative else 0.0
    applied = [layer.apply(term, rule, 0.0 if i else lift) for i, term in enumerate(terms)]
    if group.outputs != "all":
        y = layer.apply(Term("x", (1.0, 1.0), rule.bias), rule).y
        r = op.Where(y > 0 if group.outputs == "positive" else y < 0, r, 0)
    z = applied[0].y
    for part in applied[1:]:
        z = z + part.y
    s = r / z if group.nonnegative else divided(op, r, z, rule.stabilizer)
    s = like(s, applied[0].y)
    found = [layer.back(part, s) for part in applied]
    if spread and group.nonnegative:
        # The lift is what of a sum belongs to no share: all of it where there is none, next to nothing elsewhere.
        found.append(_even(layer, like(s * lift, s)))
    return [part if group.factor == 1 else part * group.factor for part in found]


def _even(layer: LinearLayer, r: Var) -> Var:
    """Return relevance divided evenly among what each result reads that varies.

    That of a result which reads nothing such, but padding alone, is divided among all that varies of its sample.
    """
    op, rule = layer.op, Flat(stabilizer=0.0, bias=False)
    applied = layer.apply(rule.groups[0].terms[0], rule)
    if not layer.may_read_nothing:
        return layer.back(applied, like(r / applied.y, r))
    empty = lowering.complement(op, lowering.step(op, applied.y))
    found = layer.back(applied, like(r * lowering.complement(op, empty) / (applied.y + empty), r))
    x, axes = layer.node.input(layer.data), layer.sample_axes
    (rest,) = even_shares(op, op.ReduceSum(r * empty, axes, keepdims=1), [layer.mask or filled(op, x, 1.0)], axes)
    return like(found + rest, x)
