"""Degrees of homogeneity: by which power of a factor a result is multiplied where what is read is multiplied by it.

A value of degree 0 does not change with the factor: what a normalisation gives, and everything computed from that.
Euler's theorem: ``sum_i x_i df/dx_i = d f`` for a function ``f`` of degree ``d`` in ``x``, which is 0 where ``d`` is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import onnx_ir as ir

from onnxcam.graph.analysis.channelwise import constant
from onnxcam.graph.operators import Trait, operators_with

# None where there is no such power.
Degree: TypeAlias = float | None

# The largest epsilon that normalisations add to what they divide by is 1e-3 (Keras).
_EPSILON = 1.5e-3
NORMALISATIONS = operators_with(Trait.NORMALISES) - {"BatchNormalization", "LRN"}
_PRODUCTS = operators_with(Trait.LINEAR_IN_EACH)
_TAKE_BIAS = operators_with(Trait.TAKES_BIAS)
# With one more term, which is not multiplied.
_AFFINE = {"BatchNormalization", "AffineGrid"}
_SUMS = {"Add", "Sub", "Sum", "Mean", "Max", "Min", "Concat"}
_LIKE_FIRST = (
    operators_with(Trait.COPIES | Trait.CONVERTS | Trait.MOVES | Trait.PICKS | Trait.POOLS | Trait.LINEAR_IN_FIRST)
    | {"Neg", "Abs", "Relu", "LeakyRelu", "PRelu", "ReduceL1", "ReduceL2"}
) - _AFFINE


def result_degree(node: ir.Node, given: Sequence[Degree]) -> Degree:
    """Return the degree of a node's first result.

    Args:
        node: the node.
        given: the degree of each of its inputs; 0 for those that do not depend on the factor or are left out.
    """
    degrees = [degree for degree in given if degree is not None]
    if len(degrees) < len(given):
        return None
    if not any(degrees):
        return 0.0
    if node.domain != "":
        return None
    if node.op_type in _SUMS:
        terms = {degree for index, degree in enumerate(degrees) if degree or not _is_negligible(node, index)}
        return terms.pop() if len(terms) == 1 else None
    if node.op_type in _PRODUCTS:
        return _of_product(node, degrees)
    if node.op_type == "Div":
        return degrees[0] - degrees[1]
    if any(degrees[1:]):
        return None
    if node.op_type in NORMALISATIONS:
        return 0.0
    if node.op_type in _POWERS:
        power = _POWERS[node.op_type](node)
        return None if power is None else power * degrees[0]
    return degrees[0] if node.op_type in _LIKE_FIRST and _pads_zeros(node) else None


def _of_product(node: ir.Node, degrees: Sequence[float]) -> Degree:
    """Return the degree of a product; that of a bias has to be the same."""
    if node.op_type not in _TAKE_BIAS or len(degrees) < 3 or node.inputs[2] is None:
        return sum(degrees)
    product = degrees[0] + degrees[1]
    return product if degrees[2] == product or _is_zero(node, 2) else None


def _is_zero(node: ir.Node, index: int) -> bool:
    array = constant(node, index)
    return array is not None and not array.any()


def _is_negligible(node: ir.Node, index: int) -> bool:
    """Whether a term is 0, or the epsilon that keeps a normalisation from dividing by 0."""
    array = constant(node, index)
    return array is not None and (not array.any() or (array.size == 1 and abs(array.item()) <= _EPSILON))


def _pads_zeros(node: ir.Node) -> bool:
    """Whether a node is no padding, or one whose new numbers are multiplied by the factor as the others are."""
    if node.op_type != "Pad" or node.attributes.get_string("mode", "constant") != "constant":
        return True
    return len(node.inputs) < 3 or node.inputs[2] is None or _is_zero(node, 2)


def _exponent(node: ir.Node) -> float | None:
    value = node.inputs[1]
    array = None if value is None or value.const_value is None else value.const_value.numpy()
    return float(array.item()) if array is not None and array.size == 1 else None


def _clipped(node: ir.Node) -> float | None:
    """Return 1 for a lower bound of about 0 alone, which keeps a norm from being 0."""
    low, high = (node.inputs[index] if len(node.inputs) > index else None for index in (1, 2))
    return 1.0 if high is None and (low is None or _is_negligible(node, 1)) else None


# The degree of the result over that of the first input.
_POWERS: dict[str, Callable[[ir.Node], float | None]] = {
    "Sqrt": lambda node: 0.5,
    "Reciprocal": lambda node: -1.0,
    "ReduceSumSquare": lambda node: 2.0,
    "Sign": lambda node: 0.0,
    "Pow": _exponent,
    "Clip": _clipped,
}
