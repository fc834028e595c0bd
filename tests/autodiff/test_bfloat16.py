"""bfloat16: the forward pass as the file says, the backward pass in float32.

onnxruntime has few such kernels for the CPU, so that onnx's reference evaluator runs the graphs.
"""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxcam.autodiff.registry import Rule
from onnxcam.graph.io.serialize import to_proto
from onnxcam.graph.passes.expose import expose
from onnxcam.graph.passes.raise_opset import MINIMUM_OPSET
from tests.autodiff.samples import SAMPLES
from tests.helpers.checks import Reference, assert_close, cotangent_like, differentiate
from tests.helpers.sample import Arg, Sample

# Casts have a test of their own; onnx's body of MeanVarianceNormalization mixes bfloat16 with float32.
_ELSEWHERE = ("Cast", "CastLike", "MeanVarianceNormalization")
_HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
# The opset that gave bfloat16 to the operators that had not got it before.
_COMPLETED = 22
# Eight bits of mantissa: results that rules read are wrong by a part in 256.
_RTOL = 5e-2


def takes_bfloat16(sample: Sample) -> bool:
    """Whether the operator takes it in the sample's opset."""
    schema = onnx.defs.get_schema(sample.op, sample.opset)
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    return "tensor(bfloat16)" in allowed.get(schema.inputs[0].type_str, [])


def first_samples() -> list[Sample]:
    """Return one sample a rule, in an opset in which it takes bfloat16, if there is one."""
    found: dict[Rule, Sample] = {}
    for sample in SAMPLES:
        if sample.oracle != "reference":
            continue
        options = (sample, replace(sample, opset=max(sample.opset, _COMPLETED)))
        chosen = next((s for s in options if takes_bfloat16(s) and s.rule == sample.rule), None)
        if chosen is not None and sample.op not in _ELSEWHERE:
            found.setdefault(sample.rule, chosen)
    return list(found.values())


FIRST = first_samples()


def rounded(arg: Arg | None) -> Arg | None:
    """Return an input whose numbers bfloat16 holds exactly."""
    if arg is None or arg.array.dtype != np.float64:
        return arg
    return replace(arg, array=arg.array.astype(ml_dtypes.bfloat16).astype(np.float64))


def test_most_rules_take_it() -> None:
    assert len(FIRST) > 70
    assert MINIMUM_OPSET < _COMPLETED


@pytest.mark.parametrize("sample", FIRST, ids=lambda s: s.name)
def test_backward_pass_in_float32(sample: Sample) -> None:
    sample = replace(sample, args=tuple(map(rounded, sample.args)))
    names = list(sample.variables)
    model = differentiate(sample.model(ml_dtypes.bfloat16), sample.score, names)
    half = {
        node.op_type
        for node in ir.from_proto(model).graph
        if str(node.name).startswith("grad/") and any(value.dtype in _HALF for value in node.outputs)
    }
    assert not half
    exact = sample.feeds(np.float64)
    cotangent = cotangent_like(Reference(sample.model(np.float64))(exact)[sample.score])
    wanted = Reference(differentiate(sample.model(np.float64), sample.score, names))(exact | {"cotangent": cotangent})
    # Only what the gradients need: the stand-ins for Conv and ConvTranspose know no bfloat16.
    backward = to_proto(expose(ir.from_proto(model), [f"grad/{name}" for name in names]))
    results = Reference(backward)(sample.feeds(ml_dtypes.bfloat16) | {"cotangent": cotangent})
    for name in names:
        found = results[f"grad/{name}"]
        assert found.dtype == np.float32
        assert_close(found, wanted[f"grad/{name}"], _RTOL)
