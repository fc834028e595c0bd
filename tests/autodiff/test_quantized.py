"""Rules of quantised operators against torch's autograd in float64 on the same numbers, rounded and cut alike.

Rounding has no derivative, so differences cannot check these rules: what they promise is that rounding counts as the
identity and that cutting to the range stops the gradient. torch is given exactly that.
"""

from __future__ import annotations

import pytest

from onnxcam.autodiff.registry import Rule, gradient_table
from onnxcam.graph.analysis.quantization import MICROSOFT
from tests.helpers.quantized import CASES, Case, check_case
from tests.helpers.scaling import scaled


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.domain}{c.op}")
def test_gradient(case: Case) -> None:
    check_case(case)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.domain}{c.op}")
def test_a_scaled_rule_fails(case: Case) -> None:
    rule = gradient_table()[case.domain, case.op][0]
    with pytest.raises(AssertionError):
        check_case(case, scaled(rule, 2 if case.form == "concat" else 0))


def test_every_quantised_rule_is_here() -> None:
    def quantised(rule: Rule) -> bool:
        return rule.function.__module__.rpartition(".")[2] in ("quantized", "qlinear")

    wanted = {(r.domain, r.op_type) for rules in gradient_table().values() for r in rules if quantised(r)}
    here = {(case.domain, case.op) for case in CASES}
    here |= {(d, op) for d in ("", MICROSOFT) for op in ("QuantizeLinear", "DequantizeLinear")}
    assert wanted == here | {("", "DynamicQuantizeLinear")}
