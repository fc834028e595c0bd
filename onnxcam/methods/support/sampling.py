"""Networks seen at other inputs: through noise, and along the way from a baseline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from onnxcam.arrays import Array
from onnxcam.methods.view import NetworkView


def noisy(view: NetworkView, n: int, sigma: float, seed: int, of_range: bool = True) -> Iterator[NetworkView]:
    """Yield ``n`` probes of the images plus Gaussian noise.

    Every image gets the same noise, so that its map depends neither on the batch it travels in nor on its place there.

    Args:
        view: of the images.
        n: how many.
        sigma: standard deviation of the noise.
        seed: of the noise.
        of_range: whether ``sigma`` is a share of the range of each image's own values, or in their units.
    """
    draw = np.random.default_rng(seed)
    x, every = view.x, tuple(range(1, view.x.ndim))
    scale = sigma * (x.max(axis=every, keepdims=True) - x.min(axis=every, keepdims=True)) if of_range else sigma
    for _ in view.steps(n):
        noise = draw.standard_normal(x.shape[1:]).astype(x.dtype)
        yield view.with_images((x + scale * noise).astype(x.dtype))


def path(
    view: NetworkView, steps: int, baseline: float, rule: Literal["gauss-legendre", "midpoint"]
) -> Iterator[tuple[float, NetworkView]]:
    """Yield probes on the straight way from a constant image to each image, each with its weight; these sum to 1."""
    x = view.x
    if rule == "midpoint":
        places, weights = (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    else:
        places, weights = np.polynomial.legendre.leggauss(steps)
        places, weights = (places + 1) / 2, weights / 2
    for step in view.steps(steps):
        yield float(weights[step]), view.with_images((baseline + float(places[step]) * (x - baseline)).astype(x.dtype))


def mean_gradient(
    view: NetworkView, steps: int, baseline: float, rule: Literal["gauss-legendre", "midpoint"] = "midpoint"
) -> Array:
    """Return the gradient averaged along the way from a baseline, of the shape of ``view.g``."""
    total: Array = 0
    for weight, one in path(view, steps, baseline, rule):
        total = total + weight * one.g
    return total
