"""Write down the sizes of axes that layer normalisations normalise: their scale has the same."""

from __future__ import annotations

import onnx_ir as ir


class SizeNormalizedAxes(ir.passes.InPlacePass):
    """Set sizes that shape inference leaves open, of the last axes of what a LayerNormalization reads.

    They are open where a Reshape computes them from sizes of the run; onnx2torch needs them.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Set the sizes."""
        modified = False
        for node in model.graph.all_nodes():
            if node.op_type != "LayerNormalization" or node.domain:
                continue
            source, scale = node.inputs[:2]
            if source is None or source.shape is None or scale is None or scale.shape is None:
                continue
            count = len(scale.shape)
            known = zip(source.shape.dims[-count:], scale.shape.dims, strict=False)
            # A scale of size 1 is broadcast.
            last = [new if not isinstance(old, int) and new != 1 else old for old, new in known]
            if 0 < count <= len(source.shape) and last != list(source.shape.dims[-count:]):
                source.shape = ir.Shape([*source.shape.dims[:-count], *last])
                modified = True
        return ir.passes.PassResult(model, modified)
