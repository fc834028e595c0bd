"""Display maps: every degenerate map has a defined picture and a warning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxcam.arrays import upsample
from onnxcam.methods.support.display import display
from tests.helpers.method_samples import assert_agree


def maps(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def test_a_display_map_is_the_enlarged_positive_part_over_its_maximum() -> None:
    raw = maps(3, 4, 5)
    found, warnings = display(raw, (32, 40))
    enlarged = upsample(np.maximum(raw, 0), (32, 40))
    assert found.dtype == np.float32
    assert_agree(found, enlarged / enlarged.max(axis=(1, 2), keepdims=True), tolerance=1e-6)
    assert warnings == [[], [], []]


def test_zero_stays_zero_and_the_smallest_positive_value_is_not_zero() -> None:
    found, _ = display(np.array([[[1.0, 2.0, 4.0]], [[-3.0, 1.0, 2.0]]]), (1, 3))
    np.testing.assert_array_equal(found, np.array([[[0.25, 0.5, 1]], [[0, 0.5, 1]]], np.float32))


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(-250, 250))
def test_the_scale_of_the_score_does_not_matter(seed: int, exponent: float) -> None:
    raw = maps(1, 3, 4, seed=seed)
    np.testing.assert_allclose(display(raw * 10**exponent, (8, 8))[0], display(raw, (8, 8))[0], rtol=0, atol=1e-6)


BLANK_NEGATIVE = "the map is blank: no position raises the score"
BLANK_ZERO = "the map is blank: the raw map is zero everywhere"
BLANK_BAD = "the map is blank: every position is NaN or infinite"
CONSTANT = "the map is constant: it holds no location information"
ONE_BAD = "1 of 12 positions are NaN or infinite; they are shown as 0"


@pytest.mark.parametrize(
    ("value", "shown", "warning"),
    [
        (-2.0, 0, BLANK_NEGATIVE),
        (0.0, 0, BLANK_ZERO),
        (3.0, 1, CONSTANT),
        (1e-30, 1, CONSTANT),
        (np.nan, 0, BLANK_BAD),
        (-np.inf, 0, BLANK_BAD),
    ],
)
@pytest.mark.parametrize("shape", [(1, 1), (3, 4)])
def test_uniform_maps(shape: tuple[int, int], value: float, shown: float, warning: str) -> None:
    found, warnings = display(np.full((1, *shape), value, np.float32), (9, 7))
    np.testing.assert_array_equal(found, np.full((1, 9, 7), shown, np.float32))
    assert warnings == [[warning]]


def test_a_map_of_zeros_and_negatives_is_blank() -> None:
    raw = -np.abs(maps(1, 3, 4))
    raw[0, 0] = 0
    found, warnings = display(raw, (6, 8))
    assert not found.any()
    assert warnings == [[BLANK_NEGATIVE]]


def test_a_constant_to_rounding_is_constant() -> None:
    raw = np.full((1, 3, 4), 0.1, np.float32)
    raw[0, 1, 1] = np.nextafter(raw[0, 1, 1], np.float32(1))
    found, warnings = display(raw, (6, 8))
    assert (found == 1).all()
    assert warnings == [[CONSTANT]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_position_that_is_not_finite_is_zero_and_the_rest_is_shown(bad: float) -> None:
    raw = np.abs(maps(3, 3, 4))
    raw[1, 0, 2] = bad
    found, warnings = display(raw, (3, 4))
    assert warnings == [[], [ONE_BAD], []]
    with_zero = np.where(np.isfinite(raw), raw, 0)
    np.testing.assert_array_equal(found, display(with_zero, (3, 4))[0])
    assert found.max(axis=(1, 2)).tolist() == [1, 1, 1]


def test_a_map_can_have_two_warnings() -> None:
    raw = np.full((1, 3, 4), -1.0)
    raw[0, 0, 0] = np.nan
    found, warnings = display(raw, (3, 4))
    assert not found.any()
    assert warnings == [[ONE_BAD, BLANK_NEGATIVE]]


@pytest.mark.parametrize("peak", [3e38, 1e300, 1e-45, 1e-310])
def test_extreme_values_stay_in_range(peak: float) -> None:
    raw = np.array([[[peak, peak / 2], [0, -peak]]])
    found, warnings = display(raw, (4, 4))
    assert found.max() == 1
    assert found.min() == 0
    assert np.isfinite(found).all()
    assert warnings == [[]]


def test_an_unsigned_method_may_not_return_negatives() -> None:
    display(np.abs(maps(1, 3, 3)), (3, 3), signed=False)
    with pytest.raises(ValueError, match="unsigned"):
        display(maps(1, 3, 3), (3, 3), signed=False)


def test_any_spatial_rank_and_an_empty_batch() -> None:
    assert display(maps(2, 5), (9,))[0].shape == (2, 9)
    assert display(maps(2, 3, 2, 2), (6, 4, 4))[0].shape == (2, 6, 4, 4)
    assert display(maps(0, 3, 3), (6, 6))[0].shape == (0, 6, 6)


def test_rectified_after_it_is_enlarged_a_map_is_that_of_torch() -> None:
    """Score-CAM's authors enlarge first (haofanwang/Score-CAM, cam/scorecam.py); here values become 0 first."""
    raw = maps(2, 3, 4)
    wide = torch.nn.functional.interpolate(torch.tensor(raw)[:, None], (9, 12), mode="bilinear")[:, 0].relu()
    wanted = (wide / wide.amax(dim=(1, 2), keepdim=True)).numpy()
    found, warnings = display(raw, (9, 12), enlarged_first=True)
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    assert warnings == [[], []]
    before, _ = display(raw, (9, 12))
    assert abs(before - wanted).max() > 0.1
    assert ((found > 0) <= (before > 0)).all()
    one, other = (display(np.abs(raw), (9, 12), enlarged_first=first)[0] for first in (False, True))
    np.testing.assert_allclose(one, other, atol=1e-6)
