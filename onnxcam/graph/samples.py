"""Scores that lack an axis: one number a sample, ``[N]``, one number alone, or classes of one sample, ``[classes]``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from onnxcam.graph.score import Score
from onnxcam.graph.values import find_value


def with_both_axes(model: ir.Model, score: Score, batch: int | None) -> Score:
    """Return a score ``[N, classes]`` of the same numbers; it is added to the graph's outputs where there is none.

    Args:
        model: canonical; a node may be added.
        score: of any shape; of two axes and more, or of a rank that is not known, it stays what it is.
        batch: samples that the model takes at once, None for any number.
    """
    value = find_value(model.graph, score.name)
    if value.shape is None or len(value.shape) > 1:
        return score
    count = value.shape[0] if len(value.shape) else 1
    # A number other than the batch's counts classes, of the one sample that there is.
    of_one_sample = batch == 1 and isinstance(count, int) and count != 1
    name = f"{score.name}/scores"
    sizes = ir.Value(
        name=f"{name}/shape", const_value=ir.tensor(np.array([1, -1] if of_one_sample else [-1, 1], np.int64))
    )
    model.graph.register_initializer(sizes)
    node = ir.node("Reshape", [value, sizes], name=name)
    out = node.outputs[0]
    out.name, out.type = name, value.type
    out.shape = ir.Shape([1, count] if of_one_sample else [count, 1])
    model.graph.append(node)
    # Nothing else reads it: it would be removed.
    model.graph.outputs.append(out)
    return replace(score, name=name, shape=_told(out.shape))


def _told(shape: ir.Shape) -> tuple[int | str | None, ...]:
    return tuple(dim if isinstance(dim, int) else dim.value for dim in shape)
