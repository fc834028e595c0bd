"""Put operators that are in training mode into inference mode."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.errors import ModelError


class LeaveTrainingMode(ir.passes.InPlacePass):
    """Dropout becomes the identity that it is at inference; BatchNormalization uses its stored statistics."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Change the operators.

        Raises:
            ModelError: another operator reads the statistics of a batch, which only training computes.
        """
        modified = False
        for node in model.graph.all_nodes():
            if node.domain != "":
                continue
            if node.op_type == "BatchNormalization" and node.attributes.get_int("training_mode", False):
                node.attributes["training_mode"] = ir.AttrInt64("training_mode", 0)
                _drop_batch_statistics(model.graph, node)
                modified = True
            elif node.op_type == "Dropout" and len(node.inputs) > 1:
                # Without its ratio and mode inputs the operator does nothing.
                node.resize_inputs(1)
                modified = True
        return ir.passes.PassResult(model, modified)


def _drop_batch_statistics(graph: ir.Graph, node: ir.Node) -> None:
    """Drop the outputs that hold the statistics of the batch, as outputs of the model too."""
    for value in node.outputs[1:]:
        if value.uses():
            raise ModelError(
                f"'{value.name}' is computed from the running batch, which makes this a model for training; "
                "export it in inference mode (torch: model.eval())"
            )
        if value in graph.outputs:
            graph.outputs.remove(value)
    node.resize_outputs(1)
