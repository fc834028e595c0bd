"""Gaussian blur of images of any number of axes."""

from __future__ import annotations

import numpy as np

from onnxcam.arrays import Array


def gaussian_blur(image: Array, kernel: int, sigma: float) -> Array:
    """Return ``[C, *space]`` blurred along every axis but the first.

    Beyond the edge the image is mirrored about its outermost position, repeatedly where it is narrower than half the
    kernel.

    Args:
        image: ``[C, *space]``.
        kernel: positions that are averaged along an axis; odd.
        sigma: standard deviation, in positions.
    """
    reach = kernel // 2
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights = (weights / weights.sum()).astype(image.dtype)
    for axis in range(1, image.ndim):
        width = image.shape[axis]
        padded = np.pad(image, [(reach, reach) if at == axis else (0, 0) for at in range(image.ndim)], mode="reflect")
        shifted = (np.take(padded, range(at, at + width), axis=axis) for at in range(len(weights)))
        image = sum(weight * values for weight, values in zip(weights, shifted, strict=True))
    return image
