"""What a normalisation makes of a layer's value, position by position."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.analysis.axes import Axes, axis_meanings
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.operators import Trait, operators_with

_DIVIDES = operators_with(Trait.NORMALISES | Trait.REDUCES)
_FOLLOWED = _DIVIDES | operators_with(Trait.ELEMENTWISE | Trait.COPIES | Trait.SIZES) | {"Transpose", "Expand"}


def normalised_forms(graph: ir.Graph, layer: str) -> list[str]:
    """Return the names of the layer's value after normalisations that follow it, the last one first.

    A normalisation is an operator, or reductions and arithmetic that compute one. Each of these values is computed from
    the layer and constants alone, and has all of its positions and channels.
    """
    start = find_value(graph, layer)
    axes = axis_meanings(graph)
    reached, normalised = {start}, []
    divided: set[ir.Value] = set()
    for node in graph:
        given = [value for value in node.inputs if value is not None]
        moving = [value for value in given if value in reached]
        fixed = all(value in reached or value.const_value is not None for value in given)
        if not moving or not fixed or node.op_type not in _FOLLOWED:
            continue
        reached.update(node.outputs)
        if node.op_type in _DIVIDES or divided.intersection(moving):
            divided.update(node.outputs)
            if _sizes(node.outputs[0], axes) == _sizes(start, axes):
                normalised.append(str(node.outputs[0].name))
    return normalised[::-1]


def _sizes(value: ir.Value, axes: dict[ir.Value, Axes]) -> dict[str, int | None] | None:
    """Return the size of each axis by its letter; names of sizes that the file leaves open do not count."""
    known = axes.get(value)
    if known is None or value.shape is None:
        return None
    sizes = [size if isinstance(size, int) else None for size in value.shape]
    return dict(zip(known.letters, sizes, strict=True))
