"""Move operators that onnxruntime has written into ONNX's own domain to com.microsoft, where they belong."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.analysis.quantization import MICROSOFT

_LAYER_NORMALIZATION_OPSET = 17


class CorrectDomains(ir.passes.InPlacePass):
    """Move LayerNormalization where ONNX does not have it yet, and SimplifiedLayerNormalization, which it never has."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Move the operators."""
        modified = False
        opset = model.graph.opset_imports.get("", 0)
        for node in model.graph.all_nodes():
            early = node.op_type == "LayerNormalization" and opset < _LAYER_NORMALIZATION_OPSET
            if node.domain == "" and (early or node.op_type == "SimplifiedLayerNormalization"):
                node.domain = MICROSOFT
                model.graph.opset_imports.setdefault(MICROSOFT, 1)
                modified = True
        return ir.passes.PassResult(model, modified)
