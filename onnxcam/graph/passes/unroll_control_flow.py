"""Write out loops, branches and sequences that are fixed, until none is left."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from onnxcam.graph.passes.fold_shapes import FoldShapes
from onnxcam.graph.passes.infer_shapes import InferShapes
from onnxcam.graph.passes.lift_constants import LiftConstants
from onnxcam.graph.passes.unpack_sequences import UnpackSequences
from onnxcam.graph.passes.unroll_loops import UnrollLoops

# Loops, branches and sequences inside one another, or whose lengths depend on one another.
_ROUNDS = 8


class UnrollControlFlow(ir.passes.InPlacePass):
    """Alternate UnrollLoops and UnpackSequences with FoldShapes: writing out one may fix the length of another."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Unroll in rounds until nothing changes; sequences wait until no loop is left to unroll."""
        modified = False
        for _ in range(_ROUNDS):
            if not UnrollLoops()(model).modified and not UnpackSequences()(model).modified:
                break
            LiftConstants()(model)
            RemoveUnusedNodesPass()(model)
            InferShapes()(model)
            FoldShapes()(model)
            modified = True
        return ir.passes.PassResult(model, modified)
