"""Activations, as one operator or written out in several."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.operators import Trait, operators_with

# Rectifiers, and what one that is written out ends with.
ACTIVATIONS = operators_with(Trait.RECTIFIER) | {"Clip", "Max", "Mul"}
# What activations are written out with; times its own argument, one that squashes makes an activation.
_SQUASHING = operators_with(Trait.SQUASHES) & operators_with(Trait.IN_ACTIVATIONS)
_INSIDE = operators_with(Trait.IN_ACTIVATIONS | Trait.COPIES) | {"Cast", "CastLike"}
# Written-out activations are short.
_STEPS = 16


def is_activation(node: ir.Node) -> bool:
    """Whether a node is an activation, or the end of one that is written out."""
    match node.op_type:
        case "Clip":
            # From 0 on; after a number was added, it is the middle of a hard sigmoid.
            return _number(node.inputs[1] if len(node.inputs) > 1 else None) == 0 and not _is_shifted(node.inputs[0])
        case "Max":
            return len(node.inputs) == 2 and (any(map(_is_zero, node.inputs)) or _is_leaky(*node.inputs))
        case "Mul":
            return any(_is_gated(value, gate) for value, gate in (node.inputs, node.inputs[::-1]))
    return node.op_type in ACTIVATIONS


def _number(value: ir.Value | None) -> float | None:
    """Return the one number that a value has in the file."""
    tensor = None if value is None else value.const_value
    return float(tensor.numpy().reshape(())) if tensor is not None and tensor.size == 1 else None


def _is_zero(value: ir.Value | None) -> bool:
    tensor = None if value is None else value.const_value
    return tensor is not None and not tensor.numpy().any()


def _is_shifted(value: ir.Value | None) -> bool:
    """Whether one number has just been added to a value."""
    node = None if value is None else value.producer()
    return node is not None and node.op_type in ("Add", "Sub") and any(_number(v) is not None for v in node.inputs)


def _is_leaky(one: ir.Value | None, other: ir.Value | None) -> bool:
    """Whether two values are one and the same, each times a number."""
    return one is not other and _unscaled(one) is _unscaled(other)


def _is_gated(value: ir.Value | None, gate: ir.Value | None) -> bool:
    """Whether a factor is a squashing function of the other one, element-wise."""
    source = _unscaled(value)
    waiting, squashed = [gate], False
    for _ in range(_STEPS):
        if not waiting:
            return squashed
        entry = waiting.pop()
        if entry is None or entry is source or entry.const_value is not None:
            continue
        node = entry.producer()
        if node is None or node.op_type not in _INSIDE:
            return False
        squashed = squashed or node.op_type in _SQUASHING
        waiting += node.inputs
    return False


def _unscaled(value: ir.Value | None) -> ir.Value | None:
    """Return what a value is a number times."""
    while value is not None and (node := value.producer()) is not None:
        numbers = [_number(entry) is not None for entry in node.inputs]
        if node.op_type == "Mul" and any(numbers):
            value = node.inputs[numbers.index(False)] if not all(numbers) else None
        elif node.op_type == "Div" and numbers[1:] == [True]:
            value = node.inputs[0]
        else:
            break
    return value
