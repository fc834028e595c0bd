"""Masks made of feature maps: scaling to [0, 1], and the score of an image that is masked entirely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxcam.arrays import Array, upsample
from onnxcam.methods.view import NetworkView


def value_range(x: Array, first: int = 1) -> tuple[Array, Array]:
    """Return minimum and maximum over the axes from ``first`` on, which stay as axes of length 1."""
    axes = tuple(range(first, x.ndim))
    return x.min(axis=axes, keepdims=True), x.max(axis=axes, keepdims=True)


def scale_to_unit(x: Array, first: int = 1, tolerance: float = 0.0) -> Array:
    """Return values scaled to minimum 0 and maximum 1 over the axes from ``first`` on; constant ones become 0.

    Args:
        x: for instance maps ``[M, *spatial]``.
        first: 1 to scale each map by itself, 2 to scale each channel of ``[N, K, *spatial]`` by itself.
        tolerance: values that differ by at most this fraction of their maximum count as constant.
    """
    low, high = value_range(x, first)
    constant = high - low <= tolerance * high
    return np.where(constant, 0, (x - low) / np.where(constant, 1, high - low))


def masks_at_size(masks: Array, size: Sequence[int]) -> Array:
    """Return masks ``[M, *spatial]`` as ``[M, *size]``, each then scaled to minimum 0 and maximum 1."""
    return scale_to_unit(upsample(masks, size))


def blank_score(view: NetworkView, sample: int, probability: bool, background: Array | None = None) -> Array:
    """Return the score, ``[1]``, of one sample's image masked entirely.

    Args:
        view: of the images.
        sample: which of the ``N``.
        probability: return the probability of the target in place of the score.
        background: ``[C, *space]``, the image that is left; zeros if not given.
    """
    nothing = np.zeros((1, *view.x.shape[2:]), view.x.dtype)
    return view.masked_image(sample, nothing, background=background, rescale=False, probability=probability)
