"""Every metric against its oracle, cases done by hand, and what its declarations promise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from onnxcam.errors import InputError
from onnxcam.metrics.base import Metric
from onnxcam.metrics.registry import metric, metrics
from tests.oracles.metrics import Array, View, all_samples

SAMPLES = all_samples()


def module_of(one: Metric) -> str:
    return type(one).__module__.rpartition(".")[2]


def variants() -> Iterator[Metric]:
    for name, cls in metrics().items():
        module = cls.__module__.rpartition(".")[2]
        yield from (metric(name, **options) for options in ({}, *SAMPLES[module].fields))


VARIANTS = list(variants())
BY_HAND = [
    (metric(name, **options), view, values)
    for name, cls in metrics().items()
    for view, options, values in SAMPLES[cls.__module__.rpartition(".")[2]].by_hand
]
every_variant = pytest.mark.parametrize("made", VARIANTS, ids=repr)


def random_view(seed: int, samples: int = 6, shape: tuple[int, int] = (7, 9)) -> View:
    """Return noise with an object of a few pixels; the last map is constant."""
    rng = np.random.default_rng(seed)
    maps = rng.standard_normal((samples, *shape))
    maps[-1] = 2
    masks = np.zeros((samples, *shape), bool)
    for mask in masks:
        top, left = rng.integers(0, shape[0] - 1), rng.integers(0, shape[1] - 2)
        mask[top : top + 2, left : left + 3] = True
    return View(maps, 4 * rng.random((samples, 3, *shape)) - 1, masks, bias=-1)


def expected(made: Metric, view: View) -> Array:
    oracle = SAMPLES[module_of(made)].oracle
    return np.array([oracle(made, view, sample) for sample in range(len(view.maps))])


def agrees(values: Array, wanted: Array) -> bool:
    return bool(np.allclose(values, wanted, rtol=1e-6, atol=1e-9))


@every_variant
@pytest.mark.parametrize("seed", range(3))
def test_a_metric_is_what_its_oracle_says(made: Metric, seed: int) -> None:
    view = random_view(seed)
    found = made.measure(view)
    assert found.values.shape == (len(view.maps),)
    assert agrees(found.values, expected(made, view))
    low, high = made.bounds
    assert ((low <= found.values) & (found.values <= high)).all()


@every_variant
def test_a_value_wrong_by_a_hundredth_is_noticed(made: Metric) -> None:
    view = random_view(0)
    assert not agrees(1.01 * made.measure(view).values, expected(made, view))


@pytest.mark.parametrize(("made", "view", "values"), BY_HAND, ids=[repr(made) for made, _, _ in BY_HAND])
def test_cases_done_by_hand(made: Metric, view: View, values: list[float]) -> None:
    np.testing.assert_allclose(made.measure(view).values, values, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(expected(made, view), values, rtol=1e-6, atol=1e-12)


@every_variant
def test_a_scaled_map_has_the_same_value(made: Metric) -> None:
    view = random_view(1)
    np.testing.assert_allclose(
        made.measure(replace(view, maps=7 * view.maps)).values, made.measure(view).values, rtol=1e-6, atol=1e-12
    )


@every_variant
def test_noise_scores_at_chance(made: Metric) -> None:
    view = random_view(2, samples=2)
    chance = made.chance(view)
    if chance is None:
        assert not made.needs.truth, "a metric that compares with the truth has a level of chance"
        return
    rng = np.random.default_rng(0)
    draws = np.stack([made.measure(replace(view, maps=rng.random(view.maps.shape))).values for _ in range(2000)])
    assert (np.abs(draws.mean(axis=0) - chance) <= 4 * draws.std(axis=0) / np.sqrt(len(draws)) + 1e-12).all()


@every_variant
def test_the_truth_is_the_best_map_for_a_metric_that_compares_with_it(made: Metric) -> None:
    view = random_view(3)
    if made.needs.truth:
        best = {"higher": max, "lower": min}[made.better](made.bounds)
        assert (made.measure(replace(view, maps=view.masks.astype(np.float32))).values == best).all()
    else:
        shuffled = replace(view, masks=view.masks[::-1])
        np.testing.assert_array_equal(made.measure(shuffled).values, made.measure(view).values)


def test_an_empty_truth_mask_is_refused() -> None:
    view = random_view(0)
    with pytest.raises(InputError, match="a truth mask is empty"):
        metric("pointing-game").measure(replace(view, masks=np.zeros_like(view.masks)))


def test_uniform_noise_has_a_sparseness_of_a_third() -> None:
    maps = np.random.default_rng(0).random((4, 200, 200))
    view = View(maps, maps[:, None], maps > 0)
    np.testing.assert_allclose(metric("sparseness").measure(view).values, 1 / 3, atol=5e-3)


def test_the_pointing_game_measures_distances_in_any_number_of_dimensions() -> None:
    mask = np.zeros((1, 5, 5, 5), bool)
    mask[0, 0, 0, 0] = True
    for at, tolerance, hit in (((1, 1, 1), 1, 0), ((1, 1, 1), 2, 1), ((0, 0, 2), 2, 1), ((2, 1, 1), 2, 0)):
        one = np.zeros((1, 5, 5, 5))
        one[(0, *at)] = 1
        assert metric("pointing-game", tolerance=tolerance).measure(View(one, one, mask)).values == hit
