"""Which factor of a product is a gate: it says how much passes, and receives no relevance."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.operators import Trait, operators_with
from onnxcam.relevance.origins import Origins

_POINTWISE = operators_with(Trait.IN_ACTIVATIONS | Trait.COPIES | Trait.CONVERTS)
_LINEAR = operators_with(Trait.LINEAR_IN_ALL | Trait.LINEAR_IN_FIRST | Trait.LINEAR_IN_EACH)
_AFFINE = (operators_with(Trait.ELEMENTWISE) & _LINEAR) | operators_with(Trait.CONVERTS)
_SQUASHING = operators_with(Trait.SQUASHES)
_SAME = operators_with(Trait.RESHAPES) | {"Expand", "Transpose", "Resize"}
_MEANS = operators_with(Trait.AVERAGES) - {"AveragePool"}
# Written-out activations are short.
_STEPS = 16


def gate(node: ir.Node, origins: Origins) -> int | None:
    """Return which of two varying factors, or the divisor, is the gate; None where they are equals.

    A divisor is; so is a function of the other factor, element-wise (``x sigmoid(x)``, written-out GELU); so is a
    factor that is broadcast over positions or channels (squeeze and excitation); so is the only one that a squashing
    function gives.
    """
    if node.op_type == "Div":
        return 1
    a, b = node.inputs[0], node.inputs[1]
    if a is None or b is None or a is b:
        return None
    left, right = _base(a, origins), _base(b, origins)
    from_left, from_right = _is_made_of(b, left, origins), _is_made_of(a, right, origins)
    if from_left != from_right:
        return 1 if from_left else 0
    if from_left and left is right:
        # Both are functions of one value: the one that is affine in it counts as the features.
        affine = [_is_affine(value, left, origins) for value in (a, b)]
        return None if affine[0] == affine[1] else affine.index(False)
    # Of a factor times constants, which may be as large as the features, the factor counts.
    wide = [_is_broadcast(left, b), _is_broadcast(right, a)]
    if wide[0] != wide[1]:
        return wide.index(True)
    squashed = [_is_squashed(value, origins) for value in (a, b)]
    return None if squashed[0] == squashed[1] else squashed.index(True)


def is_normaliser(node: ir.Node) -> bool:
    """Whether a difference takes from a value its own mean, as a normalisation written out does."""
    value, mean = node.inputs
    producer = None if mean is None else mean.producer()
    return producer is not None and producer.op_type in _MEANS and producer.inputs[0] is value


def _base(value: ir.Value, origins: Origins) -> ir.Value:
    """Return what a value is an affine function of, element-wise."""
    while (node := value.producer()) is not None and node.op_type in _AFFINE:
        varying = [entry for entry in node.inputs if entry is not None and origins.varies(entry)]
        if len(varying) != 1:
            break
        value = varying[0]
    return value


def _is_affine(value: ir.Value, source: ir.Value, origins: Origins) -> bool:
    return _base(value, origins) is source


def _is_made_of(value: ir.Value, source: ir.Value, origins: Origins) -> bool:
    """Whether a value is a function of another, element-wise, in a few steps."""
    waiting, steps = [value], 0
    while waiting and steps < _STEPS:
        entry, steps = waiting.pop(), steps + 1
        if entry is source:
            return True
        node = entry.producer()
        if node is not None and node.op_type in _POINTWISE:
            waiting += [before for before in node.inputs if before is not None and origins.varies(before)]
    return False


def _is_broadcast(value: ir.Value, other: ir.Value) -> bool:
    """Whether a value is repeated along an axis of the other one."""
    if value.shape is None or other.shape is None:
        return False
    ours, theirs = list(value.shape.dims), list(other.shape.dims)
    if len(ours) != len(theirs):
        return len(ours) < len(theirs)
    return any(a == 1 and b != 1 for a, b in zip(ours, theirs, strict=True))


def _is_squashed(value: ir.Value, origins: Origins) -> bool:
    while (node := value.producer()) is not None:
        if node.op_type in _SQUASHING:
            return True
        varying = [entry for entry in node.inputs if entry is not None and origins.varies(entry)]
        if node.op_type not in _AFFINE | _SAME or len(varying) != 1:
            return False
        value = varying[0]
    return False
