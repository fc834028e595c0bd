"""ONNX's own node tests as fixtures, differentiated; ``python -m tools.node_tests`` prints the figures."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxcam.autodiff.catalogue import CHECKED_DEFINITIONS
from onnxcam.autodiff.registry import gradient_table
from tests.autodiff.samples import SAMPLES
from tests.autodiff.test_rules import STRAIGHT_THROUGH
from tests.helpers.node_cases import check_all, check_case

# ONNX has no node test with numbers that have a gradient for these (its branches read nothing around them), and none
# of quantised operators.
_WITHOUT_CASE = {"GlobalLpPool", "Trilu", "If"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # ONNX's own: generating the cases and running them warns of overflows
def test_every_case_with_a_gradient_passes() -> None:
    tally = check_all()
    failed = [f"{outcome.name}: {outcome.reason}" for outcome in tally.having("failed")]
    assert not failed, "\n".join(failed)
    rules = [rule for rules in gradient_table().values() for rule in rules]
    # ONNX has cases for its own operators only.
    wanted = {rule.op_type for rule in rules if not rule.domain and rule.function.__module__ not in STRAIGHT_THROUGH}
    missing = wanted - tally.covered - _WITHOUT_CASE
    assert not missing, f"rules that no case reaches: {sorted(missing)}"
    unchecked = CHECKED_DEFINITIONS - tally.covered
    assert not unchecked, f"definitions that no case reaches: {sorted(unchecked)}"


def test_a_case_passes() -> None:
    rng = np.random.default_rng(0)
    sample = next(s for s in SAMPLES if s.op == "Softmax")
    x = rng.standard_normal(sample.feeds(np.float32)["x0"].shape).astype(np.float32)
    model = sample.model(np.float32)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y0", TensorProto.FLOAT, list(x.shape)))
    assert check_case("softmax", model, [x]).verdict == "passed"
