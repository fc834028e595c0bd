"""Write fused operators, which onnxruntime's optimiser makes of ONNX's, as ONNX's operators again.

This is done to every such node when a model is brought into canonical form: shapes, layers, gradient rules and
relevance rules then meet operators that they know, and no second set of rules has to be kept right. onnxruntime fuses
what it can when it loads the result; scores move by the rounding of one float32 operation, as they do between its own
optimisation levels. Quantised operators stay as they are, since such a difference can change the integer that a number
is rounded to.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.errors import ModelError, UnsupportedError
from onnxcam.graph.analysis.quantization import MICROSOFT
from onnxcam.graph.passes.expansions.node_writer import NodeWriter, UnknownRankError
from onnxcam.graph.passes.expansions.registry import Expansion, expansions
from onnxcam.graph.passes.infer_shapes import InferShapes

# Memory layouts that fit one machine only.
_BLOCKED = "com.microsoft.nchwc"


class ExpandFused(ir.passes.InPlacePass):
    """Expand every fused operator; shapes are inferred only where an expansion waits for a rank."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Expand the operators.

        Raises:
            ModelError: the file is optimised for the memory layout of one machine.
            UnsupportedError: an operator has a form that ONNX's operators cannot express, or needs an unknown rank.
        """
        known = expansions()
        if any(node.domain == _BLOCKED for node in model.graph.all_nodes()):
            raise ModelError(
                "onnxruntime saved this file with the memory layout of one machine (com.microsoft.nchwc); "
                "save it with ORT_ENABLE_EXTENDED, or explain the original"
            )
        found = [node for node in model.graph.all_nodes() if node.domain == MICROSOFT and node.op_type in known]
        waiting, inferred = found, False
        while waiting:
            left = [node for node in waiting if not _expand(node, known[node.op_type])]
            if inferred and left and len(left) == len(waiting):
                node = left[0]
                raise UnsupportedError(
                    f"{node.op_type} '{node.name}': the ranks of its inputs are not known; "
                    "explain the model as it was before onnxruntime optimised it"
                )
            waiting = left
            if waiting:
                InferShapes()(model)
                inferred = True
        return ir.passes.PassResult(model, bool(found))


def _expand(node: ir.Node, function: Expansion) -> bool:
    """Replace one node; False where a rank is missing."""
    op = NodeWriter(node)
    try:
        results = function(op, node)
    except UnknownRankError:
        for made in op.nodes:
            for index in range(len(made.inputs)):
                made.replace_input_with(index, None)
        return False
    pairs = [(old, new) for old, new in zip(node.outputs, results, strict=False) if new is not None]
    lost = [old for old in node.outputs if old not in {o for o, _ in pairs} and (old.uses() or old.is_graph_output())]
    if lost:
        raise op.refuse(f"its output '{lost[0].name}'")
    graph = node.graph
    if graph is None:
        raise TypeError("only nodes of a graph are expanded")
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], op.nodes, [old for old, _ in pairs], [new for _, new in pairs]
    )
    # The name of the fused node still finds the value that it gave.
    producer = pairs[0][1].producer()
    if producer is not None and node.name:
        producer.name = node.name
    return True
