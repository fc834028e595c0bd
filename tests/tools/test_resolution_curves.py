"""The curves of ``python -m tools.resolution``, against loops over pixels and cases by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tools.resolution.curves import KERNEL, SIGMA, Ends, Images, Numbers, areas, between, counts, ranked

RANDOM = np.random.default_rng(3)
IMAGE = RANDOM.uniform(0.2, 1.0, (2, 3, 5))
WEIGHTS = RANDOM.uniform(-1.0, 2.0, (2, 3, 5))


def network(images: Images) -> Numbers:
    """A probability that no sum of pixels is."""
    return np.asarray(1 / (1 + np.exp(-((images * WEIGHTS).sum(axis=(1, 2, 3)) ** 3) / 20)))


def loop_curve(start: Images, stop: Images, map: Images, steps: int) -> float:
    """Return the area under a curve, pixel by pixel; no two positions of the map are equal."""
    height, width = map.shape
    order = sorted(
        ((y, x) for y in range(height) for x in range(width)), key=lambda position: map[position], reverse=True
    )
    points = []
    for step in range(steps + 1):
        changed = round(step * height * width / steps)
        image = start.copy()
        for y, x in order[:changed]:
            for channel in range(len(image)):
                image[channel, y, x] = stop[channel, y, x]
        points.append((changed / (height * width), float(network(image[None])[0])))
    return float(sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points)))


@pytest.mark.parametrize("steps", [1, 2, 4, 7, 15])
def test_areas_are_those_of_loops(steps: int) -> None:
    ends, map = Ends.of(IMAGE, network), RANDOM.normal(size=(3, 5))
    blurred, whole, plain = ends.images
    wanted = loop_curve(blurred, whole, map, steps), loop_curve(whole, plain, map, steps)
    assert areas(ends, network, map, steps) == pytest.approx(wanted, rel=1e-12)
    assert wanted[0] != pytest.approx(wanted[1], rel=1e-3)


def test_only_the_order_of_a_map_counts() -> None:
    ends, map = Ends.of(IMAGE, network), RANDOM.normal(size=(3, 5))
    assert areas(ends, network, np.exp(3 * map), 5) == areas(ends, network, map, 5)


def test_ends_are_blurred_whole_and_plain() -> None:
    image = RANDOM.normal(size=(2, 13, 17))
    ends = Ends.of(image, lambda images: images.sum(axis=(1, 2, 3)))
    reach = KERNEL // 2
    offsets = range(-reach, reach + 1)
    bell = {(y, x): np.exp(-(y * y + x * x) / (2 * SIGMA**2)) for y in offsets for x in offsets}

    def mirrored(at: int, length: int) -> int:
        return -at if at < 0 else 2 * (length - 1) - at if at >= length else at

    for y, x in ((0, 0), (6, 8), (12, 3)):
        near = {(v, u): image[1, mirrored(y + v, 13), mirrored(x + u, 17)] for v, u in bell}
        wanted = sum(bell[at] * near[at] for at in bell) / sum(bell.values())
        assert ends.images[0, 1, y, x] == pytest.approx(wanted)
    np.testing.assert_array_equal(ends.images[1], image)
    assert not ends.images[2].any()
    np.testing.assert_allclose(ends.values, [ends.images[0].sum(), image.sum(), 0])


def test_a_perfect_map_beats_a_reversed_one() -> None:
    """The probability is the share of the deciding pixels that are as they were."""
    truth = np.zeros((6, 6), np.bool_)
    truth[1:3, 2:5] = True
    image = np.ones((1, 6, 6))

    def seen(images: Images) -> Numbers:
        return np.asarray(images[:, 0, truth].mean(axis=1))

    # A blurred image of ones is one of ones: the curve of insertion begins at a plain one here.
    ends = Ends(np.stack([image * 0, image, image * 0]), np.array([0.0, 1.0, 0.0]))
    good, bad = (areas(ends, seen, sign * truth.astype(np.float64), 36) for sign in (1, -1))
    # Six of 36 pixels decide: the probability rises, or falls, on the first or the last sixth.
    assert good == pytest.approx((11 / 12, 1 / 12))
    assert bad == pytest.approx((1 / 12, 11 / 12))


def test_equal_positions_come_in_one_drawn_order() -> None:
    flat = ranked(np.zeros((8, 8)))
    assert sorted(flat) == list(range(64))
    assert list(flat) != sorted(flat)
    # The first half of a flat map is no half of the image.
    assert 8 < (flat[:32] < 32).sum() < 24
    np.testing.assert_array_equal(flat, ranked(np.full((8, 8), 7.0)))
    steps = (np.arange(64) % 3).reshape(8, 8).astype(np.float32)
    order = ranked(steps)
    assert list(steps.ravel()[order]) == sorted(steps.ravel(), reverse=True)
    for value in range(3):
        equal = order[steps.ravel()[order] == value]
        assert list(equal) == [position for position in flat if steps.ravel()[position] == value]


def test_steps_are_equal_parts() -> None:
    assert list(counts(15, 4)) == [0, 4, 8, 11, 15]
    assert list(counts(2, 4)) == [0, 0, 1, 2, 2]
    start, stop = np.zeros((1, 2, 2)), np.ones((1, 2, 2))
    way = between(start, stop, np.array([2, 0, 3, 1]), 4)
    np.testing.assert_array_equal(way[:, 0].reshape(3, 4), [[0, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 1]])
