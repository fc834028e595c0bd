"""A model whose image is masked inside the graph."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.graph.analysis.axes import spatial_axes
from onnxcam.graph.analysis.inputs import ModelInput, model_inputs
from onnxcam.graph.analysis.values import data_inputs
from onnxcam.perturbation.broadcast import broadcast_rows, new_input, replace_input

MASKS = "masks"
BACKGROUND = "background"
# Matrices that bring masks to the image's size, one a spatial axis; masks of other than two axes come at that size.
RESIZERS = ("mask_rows", "mask_columns")
_ROUNDING = 1e-6
_RANGES = {
    ir.DataType.UINT8: (0, 255),
    ir.DataType.INT8: (-128, 127),
    ir.DataType.UINT16: (0, 65535),
    ir.DataType.INT16: (-32768, 32767),
}


def mask_image(model: ir.Model, image: ModelInput, rescale: bool) -> ir.Model:
    """Return a model of the image ``image * m + background * (1 - m)``, a row for each of ``M`` masks.

    Every input of the model is then that of one sample, ``[1, ...]``, but for those that all samples share. Further
    inputs, float32: ``masks`` ``[M, *spatial]``, ``background`` ``[1, ...]`` in the image's layout, and for two spatial
    axes ``mask_rows`` ``[H, rows]`` and ``mask_columns`` ``[W, columns]``, which resize the masks as
    ``rows @ mask @ columns^T``.

    Args:
        model: canonical, its outputs chosen; not changed.
        image: the input that is masked.
        rescale: bring each mask to minimum 0 and maximum 1; one that is constant becomes 0.
    """
    model = model.clone()
    graph = model.graph
    op = Builder(graph, "masked")
    inputs = {str(value.name): value for value in data_inputs(graph)}
    batched = [entry.name for entry in model_inputs(graph) if entry.batched]
    target = inputs[image.name]
    masks = _masks(op, len(spatial_axes(image.axes)), rescale)
    shape = target.shape
    assert shape is not None
    whole = op.var(target)
    below = new_input(op, BACKGROUND, ir.DataType.FLOAT, [1, *(f"background_{i}" for i in range(1, len(shape)))])
    m = op.Unsqueeze(masks, [image.axes.index("C")])
    mixed = op.cast(whole, ir.DataType.FLOAT) * m + below * (1.0 - m)
    if whole.dtype in _RANGES:
        mixed = op.Clip(op.Round(mixed), *map(float, _RANGES[whole.dtype]))
    mixed = op.cast(mixed, whole.dtype)
    mixed.value.shape = shape
    replace_input(op, target, mixed)
    target.shape = ir.Shape([1, *shape.dims[1:]])
    for name in batched:
        if name != image.name:
            broadcast_rows(op, inputs[name], masks)
    graph.sort()
    return model


def _masks(op: Builder, rank: int, rescale: bool) -> Var:
    """Return masks at the image's size, ``[M, *spatial]``."""
    m = new_input(op, MASKS, ir.DataType.FLOAT, ["rows", *(f"position_{axis}" for axis in range(rank))])
    if rank == len(RESIZERS):
        rows, columns = (new_input(op, name, ir.DataType.FLOAT, [f"{name}_to", f"{name}_from"]) for name in RESIZERS)
        m = op.MatMul(rows, m) @ op.Transpose(columns, perm=[1, 0])
    if not rescale:
        return m
    axes = list(range(1, rank + 1))
    low, high = op.ReduceMin(m, axes, keepdims=1), op.ReduceMax(m, axes, keepdims=1)
    span = high - low
    # A constant mask that has been resized varies by rounding, which rescaling would amplify.
    varies = span > op.Max(op.Abs(low), op.Abs(high)) * _ROUNDING
    return op.Where(varies, (m - low) / op.Where(varies, span, 1.0), 0.0)
