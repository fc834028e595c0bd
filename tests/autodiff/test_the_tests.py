"""The checks must be able to fail: on a rule that is wrong by a thousandth, and on a driver that forgets something."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from onnxcam.autodiff import driver, shapes
from onnxcam.autodiff.builder import Builder, Shape, Var
from onnxcam.autodiff.registry import Rule, Table, gradient_table
from tests.autodiff.samples import SAMPLES
from tests.helpers.checks import assert_close, check_slopes
from tests.helpers.sample import Sample
from tests.helpers.scaling import scaled
from tests.helpers.small_graphs import check_fan_in

_BY_RULE: dict[Rule, list[Sample]] = defaultdict(list)
for _sample in SAMPLES:
    _BY_RULE[_sample.rule].append(_sample)
# A rule and one of the inputs that it gives a cotangent to.
_RESULTS = sorted(
    {(rule, int(name[1:])) for rule, given in _BY_RULE.items() for sample in given for name in sample.variables}
    # CastLike reads its second input for its type alone: no thousandth of that gradient, which is 0.
    - {(rule, 1) for rule in _BY_RULE if rule.op_type == "CastLike"},
    key=lambda pair: (pair[0].op_type, pair[0].since, pair[1]),
)


def fails(sample: Sample, table: Table) -> bool:
    """Whether the check of a sample rejects the rules of a table."""
    try:
        check_slopes(sample, table)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize(
    ("rule", "index"), _RESULTS, ids=lambda v: v if isinstance(v, int) else f"{v.op_type}{v.since}"
)
def test_a_scaled_rule_fails(rule: Rule, index: int) -> None:
    wrong = scaled(rule, index)
    assert any(fails(sample, wrong) for sample in _BY_RULE[rule] if f"x{index}" in sample.variables)


def test_float32_against_float64_is_as_strict() -> None:
    wanted = np.random.default_rng(0).standard_normal((3, 4))
    assert_close(wanted.astype(np.float32), wanted, 1e-5)
    with pytest.raises(AssertionError):
        assert_close(1.001 * wanted, wanted, 1e-5)
    with pytest.raises(AssertionError):
        assert_close(wanted.reshape(4, 3), wanted, 1e-5)


def test_a_dropped_fan_in_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    check_fan_in()

    def first(self: driver.BackwardPass, value: Any) -> Var | None:
        received = self._received.get(value)
        return received[0] if received else None

    monkeypatch.setattr(driver.BackwardPass, "cotangent", first)
    with pytest.raises(AssertionError):
        check_fan_in()


@pytest.mark.parametrize("op", ["Add", "Mul", "Where", "Max", "Expand", "MatMul"])
def test_broadcasting_that_is_not_undone_fails(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is broadcast is read once instead of summed: its shape is right, its numbers are not."""

    def first_only(op: Builder, dy: Var, result: Shape | None, x: Var) -> Var:
        right = unbroadcast(op, dy, result, x)
        return right * 0.999 if result != x.shape else right

    unbroadcast = shapes.unbroadcast
    given = [s for s in SAMPLES if s.op == op]
    monkeypatch.setattr(shapes, "unbroadcast", first_only)
    monkeypatch.setattr("onnxcam.autodiff.rules.linear.unbroadcast", first_only)
    assert any(fails(sample, gradient_table()) for sample in given)


def test_a_broadcast_that_is_left_in_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "unbroadcast", lambda op, dy, result, x: dy)
    sample = next(s for s in SAMPLES if s.op == "Mul" and s.args[0].array.shape != s.args[1].array.shape)  # type: ignore[union-attr]
    with pytest.raises(Exception, match=r"shape|dimension"):
        check_slopes(sample)
