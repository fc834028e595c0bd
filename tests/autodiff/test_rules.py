"""Every rule against differences of its operator, over generated attributes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest

from onnxcam.autodiff.registry import gradient_table
from onnxcam.errors import UnsupportedError
from tests.autodiff.checks import check_float32, check_slopes
from tests.autodiff.sample import Sample, Sizes
from tests.autodiff.samples import SAMPLES

_DYNAMIC: tuple[Sizes, ...] = ("batch", "symbolic", "unknown")
# Rounding has no derivative, and theirs is the identity's by choice: differences of what runs cannot check that.
STRAIGHT_THROUGH = {f"onnxcam.autodiff.rules.{name}" for name in ("quantized", "qlinear")}


def test_every_rule_has_samples() -> None:
    rules = [rule for rules in gradient_table().values() for rule in rules]
    wanted = {(r.domain, r.op_type, r.since) for r in rules if r.function.__module__ not in STRAIGHT_THROUGH}
    sampled = {(s.rule.domain, s.rule.op_type, s.rule.since) for s in SAMPLES}
    assert wanted == sampled


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
