"""Networks seen at other inputs: through noise, and along the way from a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from onnxcam.methods.base import Array
from onnxcam.methods.probe import Probe


def noisy(probe: Probe, n: int, sigma: float, seed: int, of_range: bool = True) -> Iterator[Probe]:
    """Yield ``n`` probes of the images plus Gaussian noise.

    Every image gets the same noise, so that its map depends neither on the batch it travels in nor on its place there.

    Args:
        probe: of the images.
        n: how many.
        sigma: standard deviation of the noise.
        seed: of the noise.
        of_range: whether ``sigma`` is a share of the range of each image's own values, or in their units.
    """
    draw = np.random.default_rng(seed)
    x, every = probe.x, tuple(range(1, probe.x.ndim))
    scale = sigma * (x.max(axis=every, keepdims=True) - x.min(axis=every, keepdims=True)) if of_range else sigma
    for _ in probe.steps(n):
        noise = draw.standard_normal(x.shape[1:]).astype(x.dtype)
        yield probe.moved((x + scale * noise).astype(x.dtype))


def path(
    probe: Probe, steps: int, baseline: float, rule: Literal["gauss-legendre", "midpoint"]
) -> Iterator[tuple[float, Probe]]:
    """Yield probes on the straight way from a constant image to each image, each with its weight; these sum to 1."""
    x = probe.x
    if rule == "midpoint":
        places, weights = (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    else:
        places, weights = np.polynomial.legendre.leggauss(steps)
        places, weights = (places + 1) / 2, weights / 2
    for step in probe.steps(steps):
        yield float(weights[step]), probe.moved((baseline + float(places[step]) * (x - baseline)).astype(x.dtype))


def mean_gradient(
    probe: Probe, steps: int, baseline: float, rule: Literal["gauss-legendre", "midpoint"] = "midpoint"
) -> Array:
    """Return the gradient averaged along the way from a baseline, of the shape of ``probe.g``."""
    total: Array = 0
    for weight, one in path(probe, steps, baseline, rule):
        total = total + weight * one.g
    return total
