"""The straight path from a constant image to each image, and gradients averaged along it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from onnxcam.arrays import Array
from onnxcam.methods.view import NetworkView


def views_on_path(
    view: NetworkView, steps: int, baseline: float, rule: Literal["gauss-legendre", "midpoint"]
) -> Iterator[tuple[float, NetworkView]]:
    """Yield views of images on the straight path from a constant image to each image, each with its weight.

    Args:
        view: of the images ``x``.
        steps: how many, at least 1.
        baseline: value of the constant image.
        rule: quadrature: where on the path they lie, and what they weigh.

    Yields:
        A weight, and a view of the images ``baseline + t (x - baseline)``, ``0 < t < 1``. Weights sum to 1.
    """
    x = view.x
    if rule == "midpoint":
        t, weights = (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    else:
        t, weights = np.polynomial.legendre.leggauss(steps)
        t, weights = (t + 1) / 2, weights / 2
    for step in view.steps(steps):
        yield float(weights[step]), view.with_images((baseline + float(t[step]) * (x - baseline)).astype(x.dtype))


def mean_gradient(
    view: NetworkView, steps: int, baseline: float, rule: Literal["gauss-legendre", "midpoint"] = "midpoint"
) -> Array:
    """Return the gradient averaged along the path from a constant image, of the shape of ``view.g``."""
    total: Array = 0
    for weight, one in views_on_path(view, steps, baseline, rule):
        total = total + weight * one.g
    return total
