"""Noisy copies of the images, and means over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from onnxcam.arrays import Array
from onnxcam.methods.view import NetworkView


def noisy_views(view: NetworkView, n: int, sigma: float, seed: int, of_range: bool = True) -> Iterator[NetworkView]:
    """Yield ``n`` views of the images plus Gaussian noise.

    Every image gets the same noise, so that its map does not depend on the batch that it is in.

    Args:
        view: of the images.
        n: how many.
        sigma: standard deviation of the noise.
        seed: of the noise.
        of_range: whether ``sigma`` is a fraction of the range of each image's own values, or in their units.
    """
    draw = np.random.default_rng(seed)
    x, every = view.x, tuple(range(1, view.x.ndim))
    scale = sigma * (x.max(axis=every, keepdims=True) - x.min(axis=every, keepdims=True)) if of_range else sigma
    for _ in view.steps(n):
        noise = draw.standard_normal(x.shape[1:]).astype(x.dtype)
        yield view.with_images((x + scale * noise).astype(x.dtype))


def noisy_mean(function: Callable[[NetworkView], Array], view: NetworkView, n: int, sigma: float, seed: int) -> Array:
    """Return the mean of what a function makes of ``n`` noisy views, ``sigma`` being a fraction of the range."""
    return sum(function(one) for one in noisy_views(view, n, sigma, seed)) / n
