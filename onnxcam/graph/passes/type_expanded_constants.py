"""Give constants that expansions wrote the type of the values that they are combined with."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.graph.passes.expansions.node_writer import EXPANDED, NodeWriter


class TypeExpandedConstants(ir.passes.InPlacePass):
    """Replace each CastLike of a constant, which an expansion wrote where a type was not known, by a typed constant."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace those whose type shape inference has found."""
        modified = False
        for node in list(model.graph.all_nodes()):
            if node.op_type != "CastLike" or EXPANDED not in str(node.outputs[0].name):
                continue
            number, like = node.inputs
            graph = node.graph
            if number is None or number.const_value is None or like is None or like.dtype is None or graph is None:
                continue
            typed = NodeWriter(node).constant(number.const_value.numpy().astype(like.dtype.numpy()))
            ir.convenience.replace_nodes_and_values(graph, node, [node], [], [node.outputs[0]], [typed])
            modified = True
        return ir.passes.PassResult(model, modified)
