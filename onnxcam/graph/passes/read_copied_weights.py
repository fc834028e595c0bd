"""Let operators read a weight itself in place of its copy."""

from __future__ import annotations

import onnx_ir as ir


class ReadCopiedWeights(ir.passes.InPlacePass):
    """Remove an Identity of a weight: torch's exporter writes one where two weights hold the same numbers.

    onnx2torch takes weights from the file alone. Outputs of the model stay as they are.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Remove them."""
        graph, modified = model.graph, False
        for node in list(graph):
            source = node.inputs[0] if node.op_type == "Identity" and not node.domain else None
            result = node.outputs[0]
            if source is None or source.name not in graph.initializers or result in graph.outputs:
                continue
            ir.convenience.replace_all_uses_with(result, source)
            graph.remove(node, safe=True)
            modified = True
        return ir.passes.PassResult(model, modified)
