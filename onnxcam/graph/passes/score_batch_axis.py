"""Bring scores into the shape ``[N, classes, ...]``.

Models also give one number a sample, ``[N]``; one number alone, ``[]``; the classes of one sample, ``[classes]``; and,
from recurrent layers, the classes of each step, ``[steps, N, classes]``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxcam.graph.analysis.batch import BATCH
from onnxcam.graph.analysis.score import Score, with_axes
from onnxcam.graph.analysis.values import data_inputs, find_value, shape_tuple

_Dim: TypeAlias = int | ir.SymbolicDim


def with_samples_first(model: ir.Model, score: Score, batch: int | None) -> Score:
    """Return a score ``[N, classes, ...]`` of the same numbers; it is added to the graph's outputs where there is none.

    Args:
        model: canonical; a node may be added.
        score: of any shape.
        batch: samples that the model takes at once, None for any number.
    """
    value = find_value(model.graph, score.name)
    if value.shape is None:
        return score
    name, shape = f"{score.name}/scores", list(value.shape)
    if len(shape) < 2:
        node, shape = _with_both_axes(model.graph, value, batch, name)
    elif len(shape) == 3 and _steps_first(model.graph, shape[0], shape[1], batch):
        node, shape = ir.node("Transpose", [value], {"perm": [1, 0, 2]}, name=name), [shape[1], shape[0], shape[2]]
    else:
        return score
    out = node.outputs[0]
    out.name, out.type, out.shape = name, value.type, ir.Shape(shape)
    model.graph.append(node)
    # Nothing else reads it: it would be removed.
    model.graph.outputs.append(out)
    return with_axes(model.graph, replace(score, name=name, shape=shape_tuple(out.shape), axes=""))


def score_of_open_batch(score: Score, graph: ir.Graph) -> Score:
    """Return the score as it stands in the same graph with an open batch axis, which is its first one."""
    value = find_value(graph, score.name)
    if value.shape is None:
        return score
    if isinstance(value.shape[0], int):
        # What a Reshape or a Squeeze leaves of an open axis is not always inferred.
        value.shape = ir.Shape([BATCH, *tuple(value.shape)[1:]])
    return replace(score, shape=shape_tuple(value.shape))


def _with_both_axes(graph: ir.Graph, value: ir.Value, batch: int | None, name: str) -> tuple[ir.Node, list[_Dim]]:
    """Return a Reshape that gives the scores an axis of samples and one of classes, and its output's shape."""
    count = value.shape[0] if value.shape is not None and len(value.shape) else 1
    # A number other than the batch's counts classes, of the one sample that there is.
    of_one_sample = batch == 1 and isinstance(count, int) and count != 1
    target = np.array([1, -1] if of_one_sample else [-1, 1], np.int64)
    sizes = ir.Value(name=f"{name}/shape", const_value=ir.tensor(target))
    graph.register_initializer(sizes)
    return ir.node("Reshape", [value, sizes], name=name), [1, count] if of_one_sample else [count, 1]


def _steps_first(graph: ir.Graph, first: _Dim, second: _Dim, batch: int | None) -> bool:
    """Whether the second axis counts samples rather than the first one."""
    firsts = [value.shape[0] for value in data_inputs(graph) if value.shape is not None and len(value.shape)]
    if batch is None:
        # Operators may lose the name of an open axis, but do not turn it into a number.
        named = not isinstance(second, int) and second.value is not None and second in firsts
        return first not in firsts and (named or (isinstance(first, int) and not isinstance(second, int)))
    return first != batch and second == batch
