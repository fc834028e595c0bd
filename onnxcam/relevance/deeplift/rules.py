"""DeepLIFT's rules, by kind of operator: each passes on exactly what the change of its result is worth.

Of a node ``y = f(x_1, ..., x_n)`` that changes by ``dy`` where its inputs change by ``dx_i``, a rule makes of the
result's multipliers ``m`` those ``m_i`` of the inputs, with ``sum(m dy) = sum_i sum(m_i dx_i)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, shape_of
from onnxcam.autodiff.reduced import reduction
from onnxcam.autodiff.registry import Cotangents, Rule
from onnxcam.autodiff.rules.quantized import parameter_along_axis
from onnxcam.relevance.deeplift.ends import BetweenView, changed, moved, numbers, varies, varying, wanted

# Below this share of what a value itself is, a difference is rounding, and the slope is the gradient.
_SMALL = 1e-6
_RECIPROCALS = {"Reciprocal", "Pow", "Div"}
_RECURRENT = {"LSTM", "GRU", "RNN"}


def elementwise(plain: Rule, op: Builder, node: NodeView, twin: NodeView, dy: Var) -> Cotangents:
    """Rescale a function of one input that moves; of several, correct the mean gradient at each position."""
    indices, here = wanted(node), list(plain.function(op, node, dy))
    if node.node.op_type == "Where" and not varies(node, twin, 0):
        return here
    total = dy * changed(op, node, twin)
    if len(indices) == 1:
        (index,) = indices
        here[index] = _over(op, node, twin, index, total, here[index])
        return here
    slopes = _mean_gradient(plain, op, node, twin, dy, here)
    steps = {index: moved(op, node, twin, index) for index in indices}
    rest = total - _sum(op, [slopes[index] * steps[index] for index in indices])
    size = _sum(op, [step * step for step in steps.values()])
    share = rest / op.Where(op.Equal(size, 0), 1, size)
    return [slopes[index] + steps[index] * share if index in steps else None for index in range(node.count)]


def product(plain: Rule, op: Builder, node: NodeView, twin: NodeView, dy: Var) -> Cotangents:
    """Share a product evenly: the mean gradient on the line between both ends, which is exact for products."""
    indices = wanted(node)
    if set(varying(node, twin)) - set(indices):
        # A mask has a number for each position; the scale of a range that is computed has one for all.
        masked = node.node.op_type == "Mul" and node.shape(0) == node.shape(1)
        return (elementwise if masked else secant)(plain, op, node, twin, dy)
    if node.node.op_type == "Mul" and len(indices) == 2:
        reciprocal = next((index for index in (0, 1) if _is_reciprocal(node, index)), None)
        if reciprocal is not None:
            # As of a quotient, below.
            factors = [dy * node.input(reciprocal), dy * twin.input(1 - reciprocal)]
            return factors[::-1] if reciprocal == 0 else factors
    points, weights = np.polynomial.legendre.leggauss(ceil(max(len(indices), 1) / 2))
    found: list[list[Var | None]] = []
    for point, weight in zip(points, weights, strict=True):
        between = BetweenView(op, node, twin, float(1 + point) / 2)
        found.append(list(plain.function(op, between, dy * float(weight / 2))))
    return [
        _sum(op, [d for d in ds if d is not None]) if ds[0] is not None else None for ds in zip(*found, strict=True)
    ]


def quotient(plain: Rule, op: Builder, node: NodeView, twin: NodeView, dy: Var) -> Cotangents:
    """Divide by the divisor as it is; the change of the divisor counts with the dividend of the baseline.

    ``d(a/b) = da / b - (a' / b') db / b``. The even share would divide by the baseline's divisor, which in
    normalisations is next to 0.
    """
    if set(varying(node, twin)) - set(wanted(node)):
        return elementwise(plain, op, node, twin, dy)
    da = dy / node.input(1)
    return da if node.needs(0) else None, -da * twin.y if node.needs(1) else None


def picked(plain: Rule, op: Builder, node: NodeView, twin: NodeView, dy: Var) -> Cotangents:
    """Credit a rise of a maximum to what is the largest now, and a fall to what was the largest at the baseline.

    What is the largest now has risen at least as far as the maximum, and what was has fallen at least as far: no
    multiplier exceeds 1 in magnitude. As captum and shap do for pools; windows may overlap here.
    """
    if set(varying(node, twin)) - set(wanted(node)):
        return elementwise(plain, op, node, twin, dy)
    change, lowest = changed(op, node, twin), node.node.op_type in ("Min", "ReduceMin")
    to_here, to_there = (op.Min, op.Max) if lowest else (op.Max, op.Min)
    gradient = list(plain.function(op, node, dy))
    here = plain.function(op, node, dy * to_here(change, 0))
    there = plain.function(op, twin, dy * to_there(change, 0))
    for index in wanted(node):
        first, second = here[index], there[index]
        assert first is not None
        assert second is not None
        gradient[index] = _over(op, node, twin, index, first + second, gradient[index])
    return gradient


def reduced(plain: Rule, op: Builder, node: NodeView, twin: NodeView, dy: Var) -> Cotangents:
    """Correct the mean gradient of a reduction, by as little as possible, in each group of numbers of its own."""
    over = reduction(op, node)
    if over is None:
        return elementwise(plain, op, node, twin, dy)
    slope = _mean_gradient(plain, op, node, twin, dy, plain.function(op, node, dy))[0]
    step, total = moved(op, node, twin, 0), over.restored(dy * changed(op, node, twin))
    rest = total - over.reduce(slope * step)
    size = over.reduce(step * step)
    return (slope + step * (rest / op.Where(op.Equal(size, 0), 1, size)),)


def rounded(plain: Rule, op: Builder, node: NodeView, twin: NodeView, dy: Var) -> Cotangents:
    """Rescale what moves by a step of a quantised type or more; below that rounding counts as the identity."""
    gradient = _mean_gradient(plain, op, node, twin, dy, plain.function(op, node, dy))[0]
    step = moved(op, node, twin, 0)
    scale = parameter_along_axis(op, node, op.cast(node.input(1), step.dtype), default_axis=1)
    small = op.Abs(step) < scale
    slope = op.Where(small, gradient, dy * changed(op, node, twin) / op.Where(small, 1, step))
    return _corrected(op, node, twin, [dy], {0: slope})


def own_range(plain: Rule, op: Builder, node: NodeView, twin: NodeView, dq: Var) -> Cotangents:
    """Correct the gradient of rounding by the range of the numbers themselves, which zeros do not have."""
    gradient = plain.function(op, node, dq)[0]
    return [gradient] if gradient is None else _corrected(op, node, twin, [dq], {0: gradient})


def secant(plain: Rule, op: Builder, node: NodeView, twin: NodeView, dy: Any) -> Cotangents:
    """Correct the mean gradient of both ends by as little as possible, for each sample: Broyden's update.

    For what has no rule of its own.
    """
    slopes = _mean_gradient(plain, op, node, twin, dy, plain.function(op, node, dy))
    return _corrected(op, node, twin, dy if plain.all_outputs else [dy], slopes)


def _corrected(
    op: Builder, node: NodeView, twin: NodeView, dys: Sequence[Var | None], slopes: dict[int, Var]
) -> Cotangents:
    """Return slopes that give the change of the results, for each sample."""
    steps = {}
    for index, slope in slopes.items():
        step = moved(op, node, twin, index)
        # Where an input is repeated, so is its step.
        steps[index] = step if node.shape(index) == node.shape(min(slopes)) else step + slope * 0
    changes = {index: dy * changed(op, node, twin, index) for index, dy in enumerate(dys) if dy is not None}
    if not _has_samples(node, list(steps), list(changes)):
        return [slopes.get(index) for index in range(node.count)]
    given = [_by_sample(op, part, _sample_axis(node, index, output=True)) for index, part in changes.items()]
    found = [_by_sample(op, slopes[index] * step, _sample_axis(node, index)) for index, step in steps.items()]
    size = _sum(op, [_by_sample(op, step * step, _sample_axis(node, index)) for index, step in steps.items()])
    share = (_sum(op, given) - _sum(op, found)) / op.Where(op.Equal(size, 0), 1, size)
    result: list[Var | None] = [None] * node.count
    for index, step in steps.items():
        own = [-1 if axis == _sample_axis(node, index) else 1 for axis in range(node.rank(index))]
        result[index] = slopes[index] + step * op.Reshape(share, own)
    return result


def _sample_axis(node: NodeView, index: int, *, output: bool = False) -> int:
    """Return the axis along which an input's or output's samples lie: the first, but not of recurrent layers."""
    if node.node.op_type not in _RECURRENT or node.integer("layout", 0):
        return 0
    return 2 if output and index == 0 else 1


def _has_samples(node: NodeView, inputs: Sequence[int], outputs: Sequence[int]) -> bool:
    """Whether some inputs and outputs are known to have as many samples as each other."""
    found = set()
    for index in inputs:
        shape = node.shape(index)
        found.add(shape[_sample_axis(node, index)] if shape else None)
    for index in outputs:
        shape = shape_of(node.node.outputs[index])
        found.add(shape[_sample_axis(node, index, output=True)] if shape else None)
    return len(found) == 1 and None not in found


def _by_sample(op: Builder, x: Var, axis: int) -> Var:
    """Return the sum of all numbers of each sample, ``[N]``."""
    while axis:
        x, axis = op.ReduceSum(x, [0], keepdims=0), axis - 1
    return op.ReduceSum(op.Flatten(x, axis=1), [1], keepdims=0)


def _mean_gradient(
    plain: Rule, op: Builder, node: NodeView, twin: NodeView, dy: Any, here: Cotangents
) -> dict[int, Var]:
    """Return the mean of the gradients at both ends, by position of the input."""
    there, found = plain.function(op, twin, dy), {}
    for index in wanted(node):
        first, second = here[index], there[index]
        if first is not None and second is not None:
            found[index] = (first + second) * 0.5
    return found


def _over(op: Builder, node: NodeView, twin: NodeView, index: int, total: Var, gradient: Var | None) -> Var:
    """Return a total per change of an input, and the gradient where it hardly changes."""
    assert gradient is not None
    step, (here, there) = moved(op, node, twin, index), numbers(op, node, twin, index)
    still = op.Abs(step) <= op.Max(op.Abs(here), op.Abs(there)) * _SMALL
    return op.Where(still, gradient, total / op.Where(still, 1.0, step))


def _is_reciprocal(node: NodeView, index: int) -> bool:
    """Whether a factor has been divided by: a reciprocal, a power below 0, a number over it."""
    producer = node.raw(index).value.producer()
    if producer is None or producer.op_type not in _RECIPROCALS:
        return False
    if producer.op_type == "Reciprocal":
        return True
    known = producer.inputs[1 if producer.op_type == "Pow" else 0]
    tensor = None if known is None else known.const_value
    return tensor is not None and (producer.op_type == "Div" or bool((tensor.numpy() < 0).all()))


def _sum(op: Builder, parts: Sequence[Var]) -> Var:
    return parts[0] if len(parts) == 1 else op.Sum(*parts)
