"""Clear spatial sizes that outputs declare where the model takes images of any size."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.analysis.values import data_inputs

# Samples, channels and two spatial axes.
_IMAGE_RANK = 4


class ClearOutputSizes(ir.passes.InPlacePass):
    """Clear the spatial sizes of outputs where an input leaves its own open: often they are the exporter's example's.

    Shape inference sets them again where the graph fixes them. Without this pass the declared sizes would count as
    fixed, also for a cotangent that a user feeds. Sizes of 1, and the numbers of samples and classes, do not depend on
    the image.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Clear the sizes."""
        modified = False
        if any(_has_open_sizes(value) for value in data_inputs(model.graph)):
            for value in model.graph.outputs:
                if value.shape is not None and len(value.shape) >= _IMAGE_RANK:
                    sizes = [None if isinstance(dim, int) and dim > 1 else dim for dim in value.shape.dims[2:]]
                    modified = modified or sizes != list(value.shape.dims[2:])
                    value.shape = ir.Shape([*value.shape.dims[:2], *sizes])
        return ir.passes.PassResult(model, modified)


def _has_open_sizes(value: ir.Value) -> bool:
    """Whether an image's channels or spatial axes have a size that the file leaves open."""
    shape = value.shape
    return shape is not None and len(shape) >= _IMAGE_RANK and any(not isinstance(dim, int) for dim in shape.dims[1:])
