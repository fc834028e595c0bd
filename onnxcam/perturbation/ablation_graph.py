"""The head of a model with parts of the layer switched off, for Ablation-CAM and Recipro-CAM."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from onnxcam.autodiff.builder import Builder
from onnxcam.graph.analysis.values import data_inputs
from onnxcam.graph.passes.cut import Cut
from onnxcam.perturbation.broadcast import broadcast_rows, new_input, replace_input

KEEP = "keep"


def ablate_layer(parts: Cut, shared: Collection[str] = ()) -> ir.Model:
    """Return the head of a network with a further input ``keep``: factors for the layer's value.

    The layer's value and the others that cross the cut are then those of one sample, ``[1, ...]``, and the result has a
    row for each row of ``keep``, float32 ``[M, ...]``, which has the value's own layout and broadcasts against it.

    Args:
        parts: the network, cut at one value, the layer's; not changed.
        shared: names of values that cross the cut and are the same for all samples: they stay as they are.
    """
    model = parts.head.clone()
    graph = model.graph
    op = Builder(graph, "keep")
    inputs = {str(value.name): value for value in data_inputs(graph)}
    layer = inputs[parts.at[0]]
    assert layer.shape is not None
    shape = layer.shape
    keep = new_input(op, KEEP, ir.DataType.FLOAT, ["rows", *(f"keep_{axis}" for axis in range(1, len(shape)))])
    whole = op.var(layer)
    changed = op.cast(op.cast(whole, ir.DataType.FLOAT) * keep, whole.dtype)
    changed.value.shape = shape
    replace_input(op, layer, changed)
    layer.shape = ir.Shape([None, *shape.dims[1:]])
    for name in parts.others:
        if name in shared:
            continue
        broadcast_rows(op, inputs[name], keep)
    graph.sort()
    return model
