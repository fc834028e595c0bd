"""Values that cannot be negative, whatever the network sees: rules that split by sign have one part to compute.

Proved from the operators, in exact arithmetic: a kernel that transforms what it multiplies, as Winograd's do, can
round a zero to a tiny negative number. Values that are no number (NaN) count as not negative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.operators import Trait, operators_with

# Whether a value is known not to be negative; an input that is left out is.
Known: TypeAlias = Callable[[ir.Value | None], bool]
_Rule: TypeAlias = Callable[[ir.Node, Known], bool]

_UNSIGNED = frozenset(
    {
        ir.DataType.BOOL,
        *(ir.DataType.UINT2, ir.DataType.UINT4, ir.DataType.UINT8),
        *(ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64),
    }
)
_ALWAYS = operators_with(Trait.NONNEGATIVE)
_OF_ALL = operators_with(Trait.NONNEGATIVE_IF_ALL)
_OF_FIRST = operators_with(Trait.NONNEGATIVE_IF_FIRST)


def nonnegative(graph: ir.Graph) -> set[ir.Value]:
    """Return the values of a canonical graph that are known not to be negative, weights included."""
    found: set[ir.Value] = set()

    def known(value: ir.Value | None) -> bool:
        return value is None or value in found or value.dtype in _UNSIGNED

    found.update(value for value in graph.initializers.values() if _holds_nonnegative(value))
    found.update(value for value in graph.inputs if known(value))
    for node in graph:
        claimed = _gives_nonnegative(node, known)
        for value in node.outputs:
            if known(value) or (claimed and (value.dtype in FLOATS or node.op_type == "QuantizeLinear")):
                found.add(value)
    return found


def _gives_nonnegative(node: ir.Node, known: Known) -> bool:
    if node.domain:
        return False
    if node.op_type in _ALWAYS:
        return True
    if node.op_type in _RULES:
        return _RULES[node.op_type](node, known)
    return _by_inputs(node, known)


def _by_inputs(node: ir.Node, known: Known) -> bool:
    """Judge an operator that turns no number that is not negative into one that is."""
    if node.op_type in _OF_FIRST:
        return known(node.inputs[0])
    return node.op_type in _OF_ALL and all(known(value) for value in node.inputs)


def _holds_nonnegative(value: ir.Value | None) -> bool:
    """Whether numbers in the file are at least 0; most weights that are not have a negative number early."""
    if value is None or value.const_value is None or value.dtype not in FLOATS | _UNSIGNED:
        return False
    array = value.const_value.numpy().reshape(-1)
    return bool((array[:256] >= 0).all() and (array >= 0).all())


def _number(node: ir.Node, index: int) -> float | None:
    """Return the one number that an input holds in the file."""
    value = node.inputs[index] if len(node.inputs) > index else None
    if value is None or value.const_value is None or value.const_value.size != 1:
        return None
    return float(value.const_value.numpy().reshape(()))


def _has(node: ir.Node, index: int) -> bool:
    return len(node.inputs) > index and node.inputs[index] is not None


def _clip(node: ir.Node, known: Known) -> bool:
    """The upper end counts where it is below the lower one."""
    low, high = _number(node, 1), _number(node, 2)
    cut_above = not _has(node, 2) or (high is not None and high >= 0)
    return cut_above and (known(node.inputs[0]) or (low is not None and low >= 0))


def _mul(node: ir.Node, known: Known) -> bool:
    return node.inputs[0] is node.inputs[1] or _by_inputs(node, known)


def _div(node: ir.Node, known: Known) -> bool:
    """By constants only: a value that is not negative may be -0."""
    below = node.inputs[1]
    if below is None or below.const_value is None:
        return False
    return known(node.inputs[0]) and bool((below.const_value.numpy() > 0).all())


def _pow(node: ir.Node, known: Known) -> bool:
    exponent = _number(node, 1)
    return exponent is not None and (exponent % 2 == 0 or (exponent > 0 and known(node.inputs[0])))


def _max(node: ir.Node, known: Known) -> bool:
    return any(known(value) for value in node.inputs)


def _where(node: ir.Node, known: Known) -> bool:
    return known(node.inputs[1]) and known(node.inputs[2])


def _pad(node: ir.Node, known: Known) -> bool:
    filled = node.attributes.get_string("mode", "constant") != "constant" or not _has(node, 2) or known(node.inputs[2])
    return filled and known(node.inputs[0])


def _resize(node: ir.Node, known: Known) -> bool:
    """Cubic interpolation overshoots."""
    outside = node.attributes.get_float("extrapolation_value", 0.0)
    return node.attributes.get_string("mode", "nearest") != "cubic" and outside >= 0 and known(node.inputs[0])


def _grid_sample(node: ir.Node, known: Known) -> bool:
    return node.attributes.get_string("mode", "linear") in ("linear", "bilinear", "nearest") and known(node.inputs[0])


def _gemm(node: ir.Node, known: Known) -> bool:
    factors = [node.attributes.get_float(name, 1.0) for name in ("alpha", "beta")]
    return min(factors) >= 0 and all(known(value) for value in node.inputs)


def _lrn(node: ir.Node, known: Known) -> bool:
    positive = node.attributes.get_float("bias", 1.0) > 0 and node.attributes.get_float("alpha", 1e-4) >= 0
    return positive and known(node.inputs[0])


def _batch_normalization(node: ir.Node, known: Known) -> bool:
    """Where its factor is not negative and what it adds is not either."""
    constants = [value.const_value for value in node.inputs[1:5] if value is not None]
    tensors = [tensor.numpy().astype(np.float64) for tensor in constants if tensor is not None]
    if len(tensors) != 4:
        return False
    scale, shift, mean, variance = tensors
    with np.errstate(all="ignore"):
        slope = scale / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    return known(node.inputs[0]) and bool((slope >= 0).all() and (shift - slope * mean >= 0).all())


def _quantize(node: ir.Node, known: Known) -> bool:
    scale, zero = _number(node, 1), _number(node, 2)
    starts = not _has(node, 2) or (zero is not None and zero >= 0)
    return starts and scale is not None and scale > 0 and known(node.inputs[0])


def _dequantize(node: ir.Node, known: Known) -> bool:
    """Numbers from the zero point on: where it is 0 and they are not negative, or where it is the smallest there is."""
    source, scale = node.inputs[0], node.inputs[1]
    if source is None or source.dtype is None or not known(scale):
        return False
    if not _has(node, 2):
        return known(source)
    zero = node.inputs[2]
    if zero is None or zero.const_value is None:
        return False
    numbers = zero.const_value.numpy().astype(np.int64)
    lowest = {ir.DataType.INT8: -(2**7), ir.DataType.INT16: -(2**15)}.get(source.dtype)
    return (
        bool((numbers == lowest).all()) if lowest is not None and numbers.any() else known(source) and not numbers.any()
    )


_RULES: dict[str, _Rule] = {
    "Clip": _clip,
    "Mul": _mul,
    "Div": _div,
    "Pow": _pow,
    "Max": _max,
    "Where": _where,
    "Pad": _pad,
    "Resize": _resize,
    "GridSample": _grid_sample,
    "Gemm": _gemm,
    "LRN": _lrn,
    "BatchNormalization": _batch_normalization,
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
}
