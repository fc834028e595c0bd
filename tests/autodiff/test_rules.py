"""Every rule against differences of its operator, over generated attributes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import onnx
import pytest

from onnxcam.autodiff.registry import gradient_table
from onnxcam.errors import NoRuleError, UnsupportedError
from onnxcam.graph.passes.raise_opset import MINIMUM_OPSET
from tests.autodiff.samples import SAMPLES
from tests.helpers.checks import check_float32, check_slopes, differentiate
from tests.helpers.sample import Sample, Sizes, var

_DYNAMIC: tuple[Sizes, ...] = ("batch", "symbolic", "unknown")
# Rounding has no derivative, and theirs is the identity's by choice: differences of what runs cannot check that.
STRAIGHT_THROUGH = {f"onnxcam.autodiff.rules.{name}" for name in ("quantized", "qlinear")}


def test_every_rule_has_samples() -> None:
    rules = [rule for rules in gradient_table().values() for rule in rules]
    wanted = {(r.domain, r.op_type, r.since) for r in rules if r.function.__module__ not in STRAIGHT_THROUGH}
    sampled = {(s.rule.domain, s.rule.op_type, s.rule.since) for s in SAMPLES}
    missing = sorted(wanted - sampled)
    assert not missing, f"add a Sample in a module of tests/autodiff/samples/ for (domain, operator, opset) {missing}"
    assert sampled <= wanted, "a sample of a rule that rounds, which differences cannot check"


# Of the first only the type counts, boxes are taken as they are, and an index moves in steps.
_CONSTANT = {("CastLike", 1), ("RoiAlign", 1), ("OneHot", 0)}


def test_every_float_input_has_a_sample_or_is_left_out_by_its_rule() -> None:
    sampled = {(s.rule, int(name[1:])) for s in SAMPLES for name in s.variables}
    for rule in {s.rule for s in SAMPLES if not s.domain}:
        schema = onnx.defs.get_schema(rule.op_type, max(rule.since, MINIMUM_OPSET))
        types = {entry.type_param_str: entry.allowed_type_strs for entry in schema.type_constraints}
        for index, given in enumerate(schema.inputs):
            takes_floats = "tensor(float)" in types.get(given.type_str, [given.type_str])
            if takes_floats and (rule.inputs is None or index in rule.inputs):
                assert (rule, index) in sampled or (rule.op_type, index) in _CONSTANT, f"{rule.op_type} {given.name}"


def test_what_a_rule_leaves_out_is_reported_with_what_to_do() -> None:
    sample = Sample("Resize", (var([1.0, 2.0]), None, var([2.0])))
    with pytest.raises(
        NoRuleError, match=r"Resize \(at node\): it has one for its input 0 alone; choose a later layer"
    ):
        differentiate(sample.model(np.float32), "y0", ["x0", "x2"])


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_gradient(sample: Sample) -> None:
    """Float64 against differences; then onnxruntime in float32, with sizes known and unknown, against float64."""
    wanted = check_slopes(sample)
    check_float32(sample, wanted)
    for sizes in _DYNAMIC:
        refused: AbstractContextManager[object] = nullcontext()
        if sample.static_only and sizes != "batch":
            refused = pytest.raises(UnsupportedError, match="not known")
        with refused:
            check_float32(sample, wanted, sizes)
