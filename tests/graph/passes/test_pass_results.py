"""Every pass of the pipeline says whether it has modified a model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxcam.errors import ModelError
from onnxcam.graph.analysis.quantization import MICROSOFT
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import _pipeline, canonicalize
from onnxcam.graph.passes.clear_output_sizes import ClearOutputSizes
from onnxcam.graph.passes.correct_domains import CorrectDomains
from onnxcam.graph.passes.dequantize_outputs import DequantizeOutputs
from onnxcam.graph.passes.expand_fused import ExpandFused
from onnxcam.graph.passes.expansions.node_writer import EXPANDED
from onnxcam.graph.passes.fix_inputs import FixInputs
from onnxcam.graph.passes.float64 import ToFloat64
from onnxcam.graph.passes.fold_batchnorm import FoldBatchNorm
from onnxcam.graph.passes.fold_shapes import FoldShapes
from onnxcam.graph.passes.infer_shapes import InferShapes
from onnxcam.graph.passes.leave_training_mode import LeaveTrainingMode
from onnxcam.graph.passes.lift_constants import LiftConstants
from onnxcam.graph.passes.open_batch import OpenBatch
from onnxcam.graph.passes.raise_opset import RaiseOpset
from onnxcam.graph.passes.read_copied_weights import ReadCopiedWeights
from onnxcam.graph.passes.size_normalized_axes import SizeNormalizedAxes
from onnxcam.graph.passes.type_expanded_constants import TypeExpandedConstants
from onnxcam.graph.passes.unpack_sequences import UnpackSequences
from onnxcam.graph.passes.unroll_control_flow import UnrollControlFlow
from onnxcam.graph.passes.unroll_loops import UnrollLoops
from tests.helpers.models import classifier, floats, model

_SEQUENCE = """g (float[n, 3] x, float[n, 3] z) => (float[n, 3] y) {
    s = SequenceConstruct (x, z)  y = SequenceAt (s, one)
}"""
_IF = """g (float[n, 3] x) => (float[n, 3] y) {
    y = If (flag) < then_branch = a () => (float[n, 3] p) { p = Abs (x) },
                    else_branch = b () => (float[n, 3] q) { q = Neg (x) } >
}"""


def _fused() -> onnx.ModelProto:
    proto = model("g (float[n, 3] x) => (float[n, 3] y) { y = FusedMatMul (x, w) }", {"w": floats(3, 3)})
    proto.graph.node[0].domain = MICROSOFT
    proto.opset_import.append(onnx.helper.make_opsetid(MICROSOFT, 1))
    return proto


def _untyped_constant() -> onnx.ModelProto:
    text = "g (float16[n, 3] x) => (float16[n, 3] y) { t = CastLike (c, x)  y = Mul (x, t) }"
    proto = model(text, {"c": np.array(2, np.float32)})
    proto.graph.node[0].output[0] = proto.graph.node[1].input[1] = f"y{EXPANDED}0_CastLike"
    return proto


# A model that each pass has something to do in.
TO_DO: dict[type[ir.passes.PassBase], Callable[[], onnx.ModelProto]] = {
    ClearOutputSizes: lambda: model("g (float[n, 3, h, w] x) => (float[n, 3, 8, 8] y) { y = Relu (x) }"),
    CorrectDomains: lambda: model(
        "g (float[n, 3] x) => (float[n, 3] y) { y = SimplifiedLayerNormalization (x, w) }", {"w": floats(3)}
    ),
    DequantizeOutputs: lambda: model(
        "g (float[n, 3] x) => (uint8[n, 3] y) { q = QuantizeLinear (x, s, z)  y = Slice (q, begin, end) }",
        {"s": np.array(0.1, np.float32), "z": np.array(3, np.uint8), "begin": np.array([0]), "end": np.array([9])},
    ),
    ExpandFused: _fused,
    FoldShapes: lambda: model(
        "g (float[2, 3] x) => (float[a, b] y) { s = Shape (x)  t = Gather (s, back)  y = Reshape (x, t) }",
        {"back": np.array([1, 0])},
    ),
    InferShapes: lambda: model("g (float[n, 3] x) => (float[n, 3] y) { t = Relu (x)  y = Abs (t) }"),
    LeaveTrainingMode: lambda: model(
        "g (float[n, 3] x) => (float[n, 3] y) { y = Dropout (x, ratio) }", {"ratio": np.array(0.5, np.float32)}
    ),
    LiftConstants: lambda: model(
        "g (float[n, 3] x) => (float[n, 3] y) { c = Constant <value_float = 2.0> ()  y = Mul (x, c) }"
    ),
    RaiseOpset: lambda: classifier(opset=13),
    ReadCopiedWeights: lambda: model(
        "g (float[n, 3] x) => (float[n, 3] y) { c = Identity (w)  y = Mul (x, c) }", {"w": floats(3)}
    ),
    SizeNormalizedAxes: lambda: model(
        "g (float[n, m] x) => (float[n, m] y) { y = LayerNormalization (x, w, w) }", {"w": floats(3)}
    ),
    TypeExpandedConstants: _untyped_constant,
    UnpackSequences: lambda: model(_SEQUENCE, {"one": np.array(1)}),
    UnrollControlFlow: lambda: model(_IF, {"flag": np.array(True)}),
    UnrollLoops: lambda: model(_IF, {"flag": np.array(True)}),
}


def test_every_pass_of_the_pipeline_has_something_to_do() -> None:
    own = {type(step) for step in _pipeline() if type(step).__module__.startswith("onnxcam.")}
    assert own <= TO_DO.keys()


@pytest.mark.parametrize("kind", TO_DO, ids=lambda kind: kind.__name__)
def test_a_pass_says_that_it_modifies(kind: type[ir.passes.PassBase]) -> None:
    given = load(TO_DO[kind]()).ir
    if kind is not InferShapes:
        InferShapes()(given)
    before = ir.to_proto(given).SerializeToString()
    result = kind()(given)
    assert result.modified
    assert ir.to_proto(result.model).SerializeToString() != before


@pytest.mark.parametrize("kind", TO_DO, ids=lambda kind: kind.__name__)
def test_a_pass_leaves_a_canonical_model_as_it_is(kind: type[ir.passes.PassBase]) -> None:
    given = canonicalize(load(classifier()).ir)
    before = ir.to_proto(given).SerializeToString()
    result = kind()(given)
    assert not result.modified
    assert ir.to_proto(result.model).SerializeToString() == before


@pytest.mark.parametrize(
    "change",
    [FixInputs({"x": floats(2, 3, 8, 8)}), ToFloat64(), OpenBatch(), FoldBatchNorm()],
    ids=lambda p: type(p).__name__,
)
def test_other_passes_copy(change: ir.passes.FunctionalPass) -> None:
    text = """g (float[1, 3, 8, 8] x) => (float[1, 4, 8, 8] y) {
        c = Conv <pads = [1, 1, 1, 1]> (x, w)  b = BatchNormalization (c, scale, shift, mean, variance)  y = Relu (b)
    }"""
    weights = {name: np.ones(4, np.float32) for name in ("scale", "shift", "mean", "variance")}
    given = canonicalize(load(model(text, {"w": floats(4, 3, 3, 3), **weights})).ir)
    before = ir.to_proto(given).SerializeToString()
    result = change(given)
    assert result.modified
    assert ir.to_proto(given).SerializeToString() == before
    assert ir.to_proto(result.model).SerializeToString() != before


def test_errors_of_a_pass_reach_the_user_as_they_are() -> None:
    proto = model("g (float[n, 3] x) => (float[n, 3] y) { y = Relux (x) }", opset=13)
    with pytest.raises(ModelError, match="operators that ONNX does not have: Relux"):
        canonicalize(load(proto).ir)
