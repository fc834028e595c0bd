"""Oracles of the methods that run the whole network on an image partly hidden."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.networks.small import Network
from tests.oracles.methods.arrays import positions, weighted
from tests.oracles.registry import Floats, view_oracle

NETWORKS = ("pooled", "curved", "line")
SCORED = (
    {"score": "logit"},
    {"baseline": True},
    {"score": "logit", "baseline": True, "normalise": "softmax"},
    {"rectify": "after"},  # of the display map
)


def enlarged(small: Floats, size: tuple[int, ...]) -> Floats:
    """Interpolate linearly between centres; beyond the outermost centre its value is repeated."""
    large = np.zeros(size)
    for xy in np.ndindex(size):
        corners = []
        for at, old, new in zip(xy, small.shape, size, strict=True):
            position = min(max((at + 0.5) * old / new - 0.5, 0.0), old - 1.0)
            low = min(int(position), old - 1)
            share = position - low
            corners.append([(low, 1 - share), (min(low + 1, old - 1), share)])
        for corner in itertools.product(*corners):
            large[xy] += small[tuple(at for at, _ in corner)] * math.prod(share for _, share in corner)
    return large


def stretched(mask: Floats) -> Floats | None:
    """Scale to 0..1; None for a constant."""
    low, high = mask.min(), mask.max()
    return None if low == high else (mask - low) / (high - low)


def scored(
    method: Any, network: Network, image: int, confidence: Callable[[Floats], float], chosen: set[int] | None = None
) -> Floats:
    """Weigh the channels by a number for each mask, as Score-CAM and its variants do."""
    a, x = network.activations(image), network.x[image]
    blank = network.of(image, np.zeros_like(x), method.score == "probability") if method.baseline else 0.0
    weights: dict[int, float] = {}
    for k in range(len(a)):
        mask = stretched(enlarged(a[k], x.shape[1:]))
        if mask is not None and (chosen is None or k in chosen):
            weights[k] = confidence(mask) - blank
    if method.normalise == "softmax":
        total = sum(math.exp(weight) for weight in weights.values())
        weights = {k: math.exp(weight) / total for k, weight in weights.items()}
    return weighted([weights.get(k, 0.0) for k in range(len(a))], a)


@view_oracle("score-cam", *SCORED, networks=NETWORKS)
def score_cam(method: Any, network: Network, image: int) -> Floats:
    def confidence(mask: Floats) -> float:
        return network.of(image, network.x[image] * mask, method.score == "probability")

    return scored(method, network, image, confidence)


@view_oracle(
    "ss-cam",
    *SCORED,
    {"sigma": 0.3},
    {"sigma": 0.3, "noise": "image"},
    {"seed": 3},
    {"deviation": "authors"},
    {"deviation": "authors", "noise": "image", "sigma": 1.5},
    quick={"count": 3},
    networks=NETWORKS,
)
def ss_cam(method: Any, network: Network, image: int) -> Floats:
    a, x = network.activations(image), network.x[image]
    wide = [enlarged(channel, x.shape[1:]) for channel in a]

    def confidence(mask: Floats) -> float:
        draw = np.random.default_rng(method.seed)
        found, deviation = [], method.sigma
        if method.deviation == "authors":
            own = next(one for one in wide if (scaled := stretched(one)) is not None and np.array_equal(scaled, mask))
            mask = own if method.noise == "mask" else mask
            shown = [float(value) for value in (own if method.noise == "mask" else x * mask).ravel()]
            deviation = (method.sigma / (max(shown) - min(shown))) ** 2
        for _ in range(method.count):
            if method.noise == "mask":
                seen = x * (mask + draw.normal(0, deviation, mask.shape))
            else:
                seen = x * mask + draw.normal(0, deviation, x.shape)
            found.append(network.of(image, seen, method.score == "probability"))
        return sum(found) / len(found)

    return scored(method, network, image, confidence)


@view_oracle("is-cam", *SCORED, {"path": "cumulative"}, quick={"count": 3}, networks=NETWORKS)
def is_cam(method: Any, network: Network, image: int) -> Floats:
    def confidence(mask: Floats) -> float:
        seen, found = np.zeros_like(network.x[image]), []
        for step in range(1, method.count + 1):
            part = network.x[image] * mask * step / method.count
            seen = seen + part if method.path == "cumulative" else part
            found.append(network.of(image, seen, method.score == "probability"))
        return sum(found) / len(found)

    return scored(method, network, image, confidence)


@view_oracle("gscore-cam", *SCORED, quick={"count": 3}, networks=NETWORKS)
def gscore_cam(method: Any, network: Network, image: int) -> Floats:
    means = mean_slopes(network, image)
    largest = sorted(range(len(means)), key=lambda k: means[k])[-method.count :]

    def confidence(mask: Floats) -> float:
        return network.of(image, network.x[image] * mask, method.score == "probability")

    return scored(method, network, image, confidence, set(largest))


@view_oracle(
    "group-cam",
    {"weights": "signed"},
    {"groups": 4},
    {"percentile": 70.0},
    {"kernel": 9, "sigma": 1.5},
    {"sigma": 3.0},
    {"percentile": 0.0},
    {"percentile": 0.0, "sums": "unscaled"},
    {"sums": "unscaled", "weights": "signed"},
    quick={"groups": 3, "kernel": 5, "sigma": 1.5, "percentile": 40.0},
    networks=NETWORKS,
)
def group_cam(method: Any, network: Network, image: int) -> Floats:
    a, x = network.activations(image), network.x[image]
    means, blurred = mean_slopes(network, image), blur(x, method.kernel, method.sigma)
    before = network.of(image, blurred, True)
    cam = np.zeros(a.shape[1:])
    together = math.ceil(len(a) / method.groups)
    for first in range(0, len(a), together):
        mask = np.zeros(a.shape[1:])
        for xy in positions(a):
            mask[xy] = max(0.0, sum(means[k] * a[k][xy] for k in range(first, min(first + together, len(a)))))
        ordered = sorted(mask.ravel())
        position = method.percentile / 100 * (len(ordered) - 1)
        low = math.floor(position)
        threshold = ordered[low] + (position - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])
        for xy in positions(a):
            mask[xy] = mask[xy] if method.percentile == 0 or mask[xy] > threshold else 0.0
        shown = stretched(wide := enlarged(mask, x.shape[1:]))
        if shown is not None:
            gain = network.of(image, x * shown + blurred * (1 - shown), True) - before
            gain = gain if method.weights == "signed" else max(gain, 0.0)
            cam += gain * (mask if method.sums == "unscaled" else (mask - wide.min()) / (wide.max() - wide.min()))
    return cam


def mean_slopes(network: Network, image: int) -> list[float]:
    slopes = network.slopes(image)
    return [sum(float(channel[xy]) for xy in positions(slopes)) / channel.size for channel in slopes]


def blur(x: Floats, kernel: int, sigma: float) -> Floats:
    """Average neighbours with Gaussian weights; coordinates beyond the edge are folded back about it."""

    def folded(at: int, length: int) -> int:
        at %= 2 * (length - 1)
        return min(at, 2 * (length - 1) - at)

    reach = range(-(kernel // 2), kernel // 2 + 1)
    bell = [math.exp(-(offset**2) / (2 * sigma**2)) for offset in reach]
    result = np.zeros_like(x)
    for channel, *xy in np.ndindex(*x.shape):
        for taps in itertools.product(zip(reach, bell, strict=True), repeat=len(xy)):
            neighbour = (folded(at + away, n) for at, (away, _), n in zip(xy, taps, x.shape[1:], strict=True))
            result[channel, *xy] += math.prod(share for _, share in taps) * x[channel, *neighbour]
    return np.asarray(result / sum(bell) ** (x.ndim - 1))


@view_oracle(
    "rise",
    {"keep": 0.3},
    {"centred": False},
    {"seed": 3},
    {"grid": 3},
    quick={"count": 12, "grid": 2},
    networks=NETWORKS,
)
def rise(method: Any, network: Network, image: int) -> Floats:
    x = network.x[image]
    size = x.shape[1:]
    cells = [math.ceil(length / method.grid) for length in size]
    draw = np.random.default_rng(method.seed)
    grids = draw.random((method.count, *(method.grid for _ in size))) < method.keep
    shifts = draw.integers(0, cells, (method.count, len(size)))
    masks, found = [], []
    for grid, shift in zip(grids, shifts, strict=True):
        wide = enlarged(grid.astype(float), tuple((method.grid + 1) * cell for cell in cells))
        masks.append(np.array([wide[tuple(np.add(xy, shift))] for xy in np.ndindex(size)]).reshape(size))
        found.append(network.of(image, x * masks[-1], True))
    mean = sum(found) / len(found) if method.centred else 0.0
    cam = np.zeros(size)
    for mask, p in zip(masks, found, strict=True):
        cam += (p - mean) * mask / (method.count * method.keep)
    return cam
