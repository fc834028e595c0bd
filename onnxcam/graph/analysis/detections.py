"""Which axis of detections counts them: exporters write ``[N, boxes, values]`` and ``[N, values, boxes]``."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from onnxcam.graph.analysis.axes import Axes
from onnxcam.graph.operators import Trait, operators_with

_FIRST, _LAST = 1, 2
# Detectors write a box's four coordinates before its scores.
COORDINATES = 4
# What may come between the layers of a detector and its output, one axis staying what it is.
_KEEPS_AXES = operators_with(Trait.ELEMENTWISE | Trait.CONVERTS) | {"Concat", "Split", "Slice", "Softmax"}


def box_axis(score: ir.Value, known: Mapping[ir.Value, Axes]) -> int:
    """Return the axis of a value of three axes, 1 or 2, that counts detections.

    Detections are made at the positions of feature maps, and products with weights mix the values of each detection:
    whichever of the two is nearest before the score decides. Where neither is found, the sizes decide: an open one is
    the number of boxes, since it depends on the image's size; of two fixed ones the larger is.

    Args:
        score: the detections.
        known: what the axes of other values mean.
    """
    seen = {score}
    waiting = [(score, _FIRST, _LAST)]
    while waiting:
        value, first, last = waiting.pop(0)
        counted = _counted(value, known) & {first, last}
        if len(counted) == 1:
            return _FIRST if first in counted else _LAST
        node = value.producer()
        if node is None:
            continue
        if node.op_type == "Transpose":
            perm = node.attributes.get_ints("perm", None) or [2, 1, 0]
            first, last = perm[first], perm[last]
        elif node.op_type not in _KEEPS_AXES:
            continue
        for source in node.inputs:
            if source is not None and source not in seen and source.shape is not None and len(source.shape) == 3:
                seen.add(source)
                waiting.append((source, first, last))
    return _by_size(score)


def coordinates(graph: ir.Graph, score: ir.Value, axis: int, *, activated: bool) -> int:
    """Return how many numbers come before the scores of each detection.

    None do where all of its numbers go through one activation, or where the model gives the boxes apart.

    Args:
        graph: canonical.
        score: the detections.
        axis: that counts them.
        activated: whether an activation makes probabilities of them.
    """
    values = None if score.shape is None else score.shape[_FIRST + _LAST - axis]
    few = isinstance(values, int) and values <= COORDINATES
    apart = any(
        output is not score
        and output.shape is not None
        and len(output.shape) == 3
        and COORDINATES in tuple(output.shape)[1:]
        for output in graph.outputs
    )
    return 0 if few or activated or apart else COORDINATES


def _counted(value: ir.Value, known: Mapping[ir.Value, Axes]) -> set[int]:
    """Return the axes of a value that may count detections, none where nothing is known of it."""
    axes = known.get(value)
    if axes is not None and axes.letters.count("T") == 1:
        return {axes.letters.index("T")}
    node = value.producer()
    if node is None or value.shape is None:
        return set()
    if node.op_type == "MatMul" and node.inputs[1] is not None and node.inputs[1].const_value is not None:
        # Weights mix the values of each detection and give them as the last axis.
        return set(range(len(value.shape) - 1))
    return set()


def _by_size(score: ir.Value) -> int:
    if score.shape is None:
        return _FIRST
    first, last = score.shape[_FIRST], score.shape[_LAST]
    if isinstance(first, int) and isinstance(last, int):
        return _LAST if last > first else _FIRST
    return _LAST if isinstance(first, int) and not isinstance(last, int) else _FIRST
