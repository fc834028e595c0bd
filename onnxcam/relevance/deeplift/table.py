"""DeepLIFT: how the score differs from its value at a baseline, attributed to what differs at a layer.

Every rule is exact, so that contributions, multipliers times what changed, sum to the change of the score:

    function of one value   the change of the result over that of the value: the rescale rule
    linear operator         the gradient: the linear rule
    product                 shared evenly, d(ab) = da (b + b')/2 + db (a + a')/2
    quotient                d(a/b) = da / b - (a'/b') db / b
    maximum, pool           a rise to what is largest now, a fall to what was at the baseline, as captum and shap do
    softmax                 the rescale rules of exponential, sum and logarithm
    normalisation           the rules of the means, squares, roots and quotients that it consists of
    anything else           the mean of the gradients at both ends, corrected by as little as possible

Source: Shrikumar et al. 2017, the linear rule and the rescale rule (eq. 11 and 12); the paper has no rule for what
several changing values make together. captum and shap pass on the gradient at normalisations, attention and products,
and rescale a softmax as if each number depended on its own logit alone: there contributions do not sum to the
change.

Not exact: what a step function alone carries (``Floor``, ``Sign``, the positions of a maximum) is not attributed; the
branches of an ``If`` and loops whose length the file leaves open (``Scan``) pass on their gradient; and so does an
operator of the last kind that changes the number of samples (it picks some, or sets boxes of several images side by
side).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeAlias

from onnxcam.autodiff.builder import Builder
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, Key, Rule, Table, gradient_table
from onnxcam.graph.operators import Trait, traits
from onnxcam.relevance.deeplift import log_mean, rules
from onnxcam.relevance.deeplift.ends import BaselineView, Ends, varying, wanted

Kind: TypeAlias = Callable[[Rule, Builder, NodeView, BaselineView, Any], Cotangents]
_OWN: dict[str, Kind] = {
    "Softmax": log_mean.softmax,
    "LogSoftmax": log_mean.log_softmax,
    "ReduceLogSumExp": log_mean.log_sum_exp,
    "Div": rules.quotient,
    "Max": rules.picked,
    "Min": rules.picked,
    "QuantizeLinear": rules.rounded,
    "DynamicQuantizeLinear": rules.own_range,
    "TopK": rules.secant,
}
_LINEAR = Trait.LINEAR_IN_ALL | Trait.LINEAR_IN_FIRST | Trait.MOVES


def deeplift_table() -> Table:
    """Return the rules for a model with a baseline; the table remembers the graph that it is used on."""
    ends = Ends()
    table = {
        key: tuple(replace(rule, function=_between_ends(rule, kind, ends)) for rule in found)
        if (kind := _kind(key)) is not None
        else found
        for key, found in gradient_table().items()
    }
    return MappingProxyType(table)


def _kind(key: Key) -> Kind | None:
    """Return how an operator's rule is made of its gradient; None where it is the gradient."""
    _, op_type = key
    found = traits(op_type)
    if op_type in _OWN:
        return _OWN[op_type]
    if found & Trait.PICKS:
        return rules.picked
    if found & Trait.LINEAR_IN_EACH:
        return rules.product
    if found & _LINEAR:
        return _linear
    if found & Trait.ELEMENTWISE:
        return rules.elementwise
    if found & Trait.REDUCES:
        return rules.reduced
    return None if found & Trait.BODIES else rules.secant


def _linear(plain: Rule, op: Builder, node: NodeView, twin: BaselineView, dy: Any) -> Cotangents:
    """Pass on the gradient where only what the operator is linear in changes."""
    indices = wanted(node)
    if traits(node.node.op_type) & Trait.LINEAR_IN_ALL or (indices == [0] and varying(node, twin) == [0]):
        found: Cotangents = plain.function(op, node, dy)
        return found
    return rules.secant(plain, op, node, twin, dy)


def _between_ends(plain: Rule, kind: Kind, ends: Ends) -> Callable[[Builder, NodeView, Any], Cotangents]:
    def function(op: Builder, node: NodeView, dy: Any) -> Cotangents:
        """Return the multipliers of a node that differs at the baseline, and the gradient of any other."""
        twin = ends.at_baseline(op, node)
        found: Cotangents = plain.function(op, node, dy) if twin is None else kind(plain, op, node, twin, dy)
        return found

    return function
