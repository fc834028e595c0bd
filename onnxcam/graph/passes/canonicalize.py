"""Bring every model into one form, in which each computation is written in one way.

Functions are inlined, weights leave the list of inputs, constants become initializers, operators are raised to opset 18
where they are older, operators that onnxruntime has fused are expanded, and operators in training mode are put into
inference mode. Value names are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
from onnx_ir.passes import PassBase
from onnx_ir.passes.common import (
    InlinePass,
    LiftSubgraphInitializersToMainGraphPass,
    NameFixPass,
    RemoveInitializersFromInputsPass,
    RemoveUnusedNodesPass,
)

from onnxcam.graph.passes.clear_output_sizes import ClearOutputSizes
from onnxcam.graph.passes.correct_domains import CorrectDomains
from onnxcam.graph.passes.dequantize_outputs import DequantizeOutputs
from onnxcam.graph.passes.expand_fused import ExpandFused
from onnxcam.graph.passes.fold_shapes import FoldShapes
from onnxcam.graph.passes.infer_shapes import InferShapes
from onnxcam.graph.passes.leave_training_mode import LeaveTrainingMode
from onnxcam.graph.passes.lift_constants import LiftConstants
from onnxcam.graph.passes.raise_opset import RaiseOpset
from onnxcam.graph.passes.type_expanded_constants import TypeExpandedConstants
from onnxcam.graph.passes.unroll_control_flow import UnrollControlFlow

# The first file format in which an initializer need not be an input too.
_FREE_INITIALIZERS_IR = 4


def canonicalize(model: ir.Model) -> ir.Model:
    """Return an equivalent model in canonical form; the given one is not changed.

    Raises:
        ModelError: onnx's converter cannot raise the operators to opset 18.
        UnsupportedError: an operator that onnxruntime has fused cannot be expanded.
    """
    model = model.clone()
    model.ir_version = max(model.ir_version, _FREE_INITIALIZERS_IR)
    return _run(_pipeline(), model)


def canonicalize_part(model: ir.Model) -> ir.Model:
    """Bring a definition that is to join a canonical model into canonical form; it may be changed."""
    return _run(_part_pipeline(), model)


def _pipeline() -> tuple[PassBase, ...]:
    """Return the passes in order, made anew for each model: onnx_ir's keep state while they run."""
    return (
        # Every later pass looks at nodes of the graph alone, and at constants as initializers.
        InlinePass(),
        RemoveInitializersFromInputsPass(),
        LiftConstants(),
        # The converter refuses operators that are in the wrong domain; expansions write operators of opset 18.
        CorrectDomains(),
        RaiseOpset(),
        ExpandFused(),
        LeaveTrainingMode(),
        # Only here: outputs that only training uses are unused from here on.
        RemoveUnusedNodesPass(),
        # The backward pass of a branch reads the branch's weights, and reads them in the main graph.
        LiftSubgraphInitializersToMainGraphPass(),
        NameFixPass(),
        # Shape inference takes declared sizes for the real ones.
        ClearOutputSizes(),
        InferShapes(),
        # Each of these needs the shapes, and the second one the sizes, that have been found before it.
        FoldShapes(),
        UnrollControlFlow(),
        TypeExpandedConstants(),
        DequantizeOutputs(),
    )


def _part_pipeline() -> tuple[PassBase, ...]:
    """Return the passes that a definition needs before it joins a canonical model."""
    return (
        LiftConstants(),
        RemoveUnusedNodesPass(),
        InferShapes(),
        FoldShapes(),
        UnrollControlFlow(),
    )


def _run(pipeline: Sequence[PassBase], model: ir.Model) -> ir.Model:
    """Run passes in order; onnx_ir's Sequential would hide a pass's own error, whose message is for the user."""
    for step in pipeline:
        model = step(model).model
    return model
