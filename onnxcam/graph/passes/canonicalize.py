"""Bring every model into one form, so that what follows meets one way of writing each thing.

Functions are inlined, weights leave the list of inputs, constants become initializers, operators are raised to opset 18
where they are older, operators that onnxruntime has fused are taken apart, and operators in training mode are put into
inference mode. Value names are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

from onnxcam.errors import ModelError
from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.analysis.quantization import read_as_real
from onnxcam.graph.analysis.values import data_inputs
from onnxcam.graph.passes.dequantize_outputs import end_in_real_numbers
from onnxcam.graph.passes.expand_fused import claim_operators, expand, settle_numbers
from onnxcam.graph.passes.fold_shapes import fold_sizes
from onnxcam.graph.passes.unpack_sequences import forget_types, take_apart
from onnxcam.graph.passes.unroll import unroll

Model: TypeAlias = ir.Model

# The oldest version whose reductions take their axes as an input and whose scatter operators add: rules need both.
MINIMUM_OPSET = 18
# The first file format in which an initializer need not be an input too.
_FREE_INITIALIZERS_IR = 4
# Weights above this many numbers are none of the shapes, axes and scales that the converter reads.
_LARGEST_CONSTANT = 1024
# Sizes that depend on sizes that depend on sizes: deeper chains than this have not been seen.
_ROUNDS = 8
# Of early file formats; the converter knows none of them, and no rule does.
_EXPERIMENTS = {"Affine", "Crop", "DynamicSlice", "ImageScaler", "ParametricSoftplus", "ScaledTanh"}
# Loops and branches inside one another, or that fix one another.
_NESTED = 8
# Samples, channels and two axes of places.
_IMAGE_RANK = 4
# The oldest file format that may carry opset 18.
_MINIMUM_IR = 8


def canonicalize(model: ir.Model) -> ir.Model:
    """Return an equivalent model in canonical form; the given one is not changed.

    Raises:
        ModelError: onnx's converter cannot raise the operators to opset 18.
    """
    model = model.clone()
    model.ir_version = max(model.ir_version, _FREE_INITIALIZERS_IR)
    for step in _STEPS:
        model = step(model)
    return model


def canonicalize_part(model: ir.Model) -> ir.Model:
    """Bring a definition that is to join a canonical model into canonical form; it may be changed."""
    for step in (_lift_constants, _drop_unused, infer_shapes, _settle_sizes, _unroll):
        model = step(model)
    return model


def _inline_functions(model: ir.Model) -> ir.Model:
    return passes.InlinePass()(model).model if model.functions else model


def _free_initializers(model: ir.Model) -> ir.Model:
    return passes.RemoveInitializersFromInputsPass()(model).model


def _lift_constants(model: ir.Model) -> ir.Model:
    return passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model).model


def _raise_opset(model: ir.Model) -> ir.Model:
    """Raise the main operator set with onnx's own converter: measured right on 16 of 16 legacy files."""
    opset = model.graph.opset_imports.get("", 0)
    if opset >= MINIMUM_OPSET:
        return model
    _cut_experiments(model.graph)
    if unknown := sorted({n.op_type for n in model.graph.all_nodes() if n.domain == "" and not _is_known(n.op_type)}):
        raise ModelError(
            f"the model uses operators that ONNX does not have: {', '.join(unknown)}; "
            "export the model again with standard operators"
        )
    model.ir_version = max(model.ir_version, _MINIMUM_IR)
    weights = _detach_weights(model.graph)
    try:
        raised = onnx.version_converter.convert_version(ir.to_proto(model), MINIMUM_OPSET)
    except Exception as error:
        raise ModelError(
            f"the model's operators (opset {opset}) cannot be raised to opset {MINIMUM_OPSET}: {error}; "
            "export the model again with a newer opset"
        ) from error
    # The adapters of the converter write Constant nodes of their own.
    return _lift_constants(_attach_weights(ir.from_proto(raised), weights))


def _cut_experiments(graph: ir.Graph) -> None:
    """Drop outputs that need operators which onnxruntime runs and ONNX has given up, if others do without."""
    found: set[ir.Value] = set()
    for node in graph:
        tried = node.domain == "" and node.op_type in _EXPERIMENTS
        if tried or any(value in found for value in node.inputs if value is not None):
            found.update(node.outputs)
    kept = [value for value in graph.outputs if value not in found]
    if found and any(value.dtype in FLOATS for value in kept):
        graph.outputs[:] = kept
        for node in reversed(graph):
            if not any(value.uses() or value in kept for value in node.outputs):
                graph.remove(node, safe=True)


def _is_known(op_type: str) -> bool:
    return bool(onnx.defs.has(op_type))


def _detach_weights(graph: ir.Graph) -> dict[str, ir.TensorProtocol]:
    """Turn large weights into inputs: the converter needs small constants only, and copies what it is given."""
    weights: dict[str, ir.TensorProtocol] = {}
    for name, value in list(graph.initializers.items()):
        if value.const_value is not None and value.const_value.size > _LARGEST_CONSTANT:
            weights[name] = value.const_value
            del graph.initializers[name]
            graph.inputs.append(value)
    return weights


def _attach_weights(model: ir.Model, weights: dict[str, ir.TensorProtocol]) -> ir.Model:
    graph = model.graph
    for value in [value for value in graph.inputs if value.name in weights]:
        graph.inputs.remove(value)
        value.const_value = weights[str(value.name)]
        graph.register_initializer(value)
    return model


def _leave_training_mode(model: ir.Model) -> ir.Model:
    """Dropout becomes the identity it is at inference; BatchNormalization uses its stored statistics."""
    for node in model.graph.all_nodes():
        if node.domain != "":
            continue
        if node.op_type == "BatchNormalization" and node.attributes.get_int("training_mode", False):
            node.attributes["training_mode"] = ir.AttrInt64("training_mode", 0)
            _forget_statistics(model.graph, node)
        elif node.op_type == "Dropout" and len(node.inputs) > 1:
            # Without its ratio and mode inputs the operator does nothing.
            node.resize_inputs(1)
    return model


def _forget_statistics(graph: ir.Graph, node: ir.Node) -> None:
    """Drop the statistics of the batch, which only training computes, as outputs of the model too."""
    for value in node.outputs[1:]:
        if value.uses():
            raise ModelError(
                f"'{value.name}' is computed from the running batch, which makes this a model for training; "
                "export it in inference mode (torch: model.eval())"
            )
        if value in graph.outputs:
            graph.outputs.remove(value)
    node.resize_outputs(1)


def _expand_fused(model: ir.Model) -> ir.Model:
    return expand(model, infer_shapes)


def _drop_unused(model: ir.Model) -> ir.Model:
    return passes.RemoveUnusedNodesPass()(model).model


def _doubt_sizes(model: ir.Model) -> ir.Model:
    """Forget the sizes of places that outputs declare, where images of any size go: often they are the exporter's.

    Inference, which comes next, tells them again where the graph does. It would believe what it finds declared, and so
    would whoever feeds a cotangent. Samples, classes and single places are no matter of the image's size.
    """
    if not any(_has_open_places(value) for value in data_inputs(model.graph)):
        return model
    for value in model.graph.outputs:
        if value.shape is not None and len(value.shape) >= _IMAGE_RANK:
            places = [None if isinstance(dim, int) and dim > 1 else dim for dim in value.shape.dims[2:]]
            value.shape = ir.Shape([*value.shape.dims[:2], *places])
    return model


def _has_open_places(value: ir.Value) -> bool:
    shape = value.shape
    return shape is not None and len(shape) >= _IMAGE_RANK and any(not isinstance(dim, int) for dim in shape.dims[1:])


def infer_shapes(model: ir.Model) -> ir.Model:
    """Fill in shapes and types; an operator that cannot be inferred leaves its outputs unknown."""
    # onnx infers nothing for GroupNormalization, whose result is as InstanceNormalization's: lend it that name.
    lent = [node for node in model.graph.all_nodes() if node.domain == "" and node.op_type == "GroupNormalization"]
    for node in lent:
        node.op_type = "InstanceNormalization"
    with read_as_real(model.graph):
        pass_ = passes.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)
        result = pass_(model)
        if _give_ranks(result.model.graph):
            result = pass_(result.model)
    for node in lent:
        node.op_type = "GroupNormalization"
    forget_types(result.model.graph)
    return result.model


def _give_ranks(graph: ir.Graph) -> bool:
    """Tell the rank of parts whose lengths are computed while the graph runs: onnx infers nothing for these."""
    found = False
    for node in graph.all_nodes():
        whole = node.inputs[0].shape if node.op_type == "Split" and node.domain == "" and node.inputs[0] else None
        if whole is None:
            continue
        axis = node.attributes.get_int("axis", 0) % len(whole)
        for value in (value for value in node.outputs if value.shape is None):
            value.shape = ir.Shape([None if i == axis else size for i, size in enumerate(whole)])
            found = True
    return found


def _name_everything(model: ir.Model) -> ir.Model:
    return passes.NameFixPass()(model).model


def _lift_branch_weights(model: ir.Model) -> ir.Model:
    """Weights of branches become weights of the model: the backward pass, which is a branch too, reads them there."""
    return passes.LiftSubgraphInitializersToMainGraphPass()(model).model


def _settle_sizes(model: ir.Model) -> ir.Model:
    """Compute sizes ahead; each round of shapes may make more of them known."""
    for _ in range(_ROUNDS):
        if not fold_sizes(model):
            break
        # What computed the sizes is gone first: there may be several times as much of it as of the network.
        model = infer_shapes(_drop_unused(model))
    return model


def _unroll(model: ir.Model) -> ir.Model:
    """Write out loops, branches and lists of tensors that are fixed; one may fix the next."""
    for _ in range(_NESTED):
        if not unroll(model) and not take_apart(model):
            break
        model = _settle_sizes(infer_shapes(_drop_unused(_lift_constants(model))))
    return model


_STEPS: tuple[Callable[[ir.Model], ir.Model], ...] = (
    _inline_functions,
    _free_initializers,
    _lift_constants,
    claim_operators,
    _raise_opset,
    _expand_fused,
    _leave_training_mode,
    _drop_unused,
    _lift_branch_weights,
    _name_everything,
    _doubt_sizes,
    infer_shapes,
    _settle_sizes,
    _unroll,
    settle_numbers,
    end_in_real_numbers,
)
