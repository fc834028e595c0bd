"""Views that repeat answers, and how large the terms of a map are, measured through them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxcam.methods.base import Method
from onnxcam.methods.cancellation.recorded_view import RecordedView
from onnxcam.methods.cancellation.remaining import remaining
from onnxcam.methods.cancellation.replayed_view import ReplayedView
from onnxcam.methods.registry import method
from tests.helpers.method_samples import EVERY, VIEWED
from tests.networks.table import NETWORKS

_NETWORK_OF = dict(VIEWED)
_UNIT = float(np.finfo(np.float64).eps)


def recorded(sample: Method) -> tuple[RecordedView, Any]:
    """Return a view that a method has asked on a network that it is tested on, and its map."""
    record = RecordedView(
        NETWORKS[_NETWORK_OF.get(sample, "input" if sample.needs.at == "input" else "curved")]().view()
    )
    return record, sample.explain(record)


@pytest.mark.parametrize("sample", EVERY, ids=repr)
def test_repeated_answers_give_the_same_map_run_nothing_and_no_map_is_only_cancellation(sample: Method) -> None:
    record, raw = recorded(sample)
    runs = record.view.runs  # type: ignore[attr-defined]
    if not record.answers.others:
        np.testing.assert_array_equal(sample.explain(ReplayedView(record, 0)), raw)
    assert all(len(sums) == len(raw) for sums in sample.judged(ReplayedView(record, 2.0**-5)))
    assert np.isnan(remaining(sample, record, raw, _UNIT)).all()
    assert record.view.runs == runs  # type: ignore[attr-defined]


class Arrays:
    """A view of a layer and its gradient alone."""

    def __init__(self, a: Any, g: Any) -> None:
        self.a, self.g = a, g


def left(name: str, a: Any, g: Any) -> Any:
    sample = method(name)
    record = RecordedView(Arrays(a, g))  # type: ignore[arg-type]
    return remaining(sample, record, sample.explain(record), float(np.finfo(np.float32).eps))


def pair(share: float, positions: int = 12) -> tuple[Any, Any]:
    """Return activations and a gradient whose products over channels sum to a share of their size."""
    draw = np.random.default_rng(0)
    a, g = draw.normal(size=(2, 1, 64, positions))
    terms = a * g
    terms -= terms.mean(axis=1, keepdims=True)
    terms += share * np.sqrt((terms**2).sum(axis=1, keepdims=True)) / 64
    return a, terms / a


@pytest.mark.parametrize("share", [1e-16, 1e-7, 1e-4, 1e-3])
def test_what_is_left_is_relative_to_the_root_of_the_sum_of_squares(share: float) -> None:
    (found,) = left("hires-cam", *pair(share))
    assert found == pytest.approx(share, rel=0.5) or (share == 1e-16 and found < 1e-13)


@pytest.mark.parametrize("share", [0.02, 0.3, 3.0, -0.1])
def test_larger_maps_are_no_cancellation(share: float) -> None:
    assert np.isnan(left("hires-cam", *pair(share))).all()


def test_only_what_is_shown_may_be_rounding() -> None:
    """One half of the map is negative and true, and the other is rounding: that is what the picture would show."""
    (a, g), (rest, slope) = pair(1e-8), pair(-3.0)
    assert left("hires-cam", np.concatenate([a, rest], axis=2), np.concatenate([g, slope], axis=2)) < 1e-6
    (a, g), (rest, slope) = pair(1e-8), pair(3.0)
    assert np.isnan(left("hires-cam", np.concatenate([a, rest], axis=2), np.concatenate([g, slope], axis=2))).all()


def test_zeros_do_not_cancel_and_what_is_not_finite_is_left_out() -> None:
    a, g = pair(1e-8)
    assert np.isnan(left("hires-cam", a, np.zeros_like(g))).all()
    g[0, 3, 5] = np.inf
    assert left("hires-cam", a, g) < 1e-6


def test_a_constant_layer_has_no_principal_component() -> None:
    a = np.full((1, 6, 4, 4), 0.1, np.float32) * np.arange(1, 7, dtype=np.float32)[:, None, None]
    a[0, 2, 1, 1] = np.nextafter(a[0, 2, 1, 1], np.float32(1))
    assert left("eigen-cam", a, a) < 1e-5
    a[0, 2, 1, 1] = 0.35
    assert np.isnan(left("eigen-cam", a, a)).all()
