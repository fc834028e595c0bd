"""Functions of arrays that several parts need: a leaf, which imports nothing of the package but its errors.

Those without ``NumPy`` in their description are written against the Python array API and take arrays of any library
that follows it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

# An object of any array library that follows the Python array API; there is no nominal type for these.
Array: TypeAlias = Any
Maps: TypeAlias = npt.NDArray[np.floating[Any]]


def spatial(a: Array) -> tuple[int, ...]:
    """Return the axes of ``a`` after batch and channels."""
    return tuple(range(2, a.ndim))


def relu(x: Array) -> Array:
    """Return ``x`` where it is positive, else 0; NaN stays NaN."""
    xp = x.__array_namespace__()
    return xp.maximum(x, xp.zeros_like(x))


def safe_divide(x: Array, y: Array) -> Array:
    """Return ``x / y``, and 0 where ``y`` is 0. Both have the same shape."""
    xp = y.__array_namespace__()
    zero = y == 0
    return xp.where(zero, xp.zeros_like(y), x / xp.where(zero, xp.ones_like(y), y))


def softmax(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the softmax over axis 1 of ``[N, classes]``, in the array's own precision (NumPy).

    An entry of minus infinity takes no part: its share is 0.
    """
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def sigmoid(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ``1 / (1 + exp(-x))`` without overflow, in the array's own precision (NumPy)."""
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


def divide_by_peak(maps: Maps) -> Maps:
    """Return each map ``[N, *spatial]`` divided by its maximum; one without a positive value stays as it is (NumPy)."""
    peak = maps.max(axis=tuple(range(1, maps.ndim)), keepdims=True)
    return np.asarray(maps / np.where(peak > 0, peak, 1))


def upsample(raw: Maps, size: Sequence[int]) -> Maps:
    """Return maps at another size: linear interpolation along each spatial axis (NumPy).

    The centre of position ``i`` lies at ``i + 1/2``, and the outermost positions extend to the edge: what torch calls
    bilinear with ``align_corners=False`` and OpenCV ``INTER_LINEAR``. Where an axis shrinks, the kernel widens by the
    same factor (torch's ``antialias=True``), so that every position of the raw map counts.

    Args:
        raw: ``[N, *spatial]``, of any number of spatial axes.
        size: the new length of each spatial axis, at least 1.

    Returns:
        ``[N, *size]``, of the same type.
    """
    if len(size) != raw.ndim - 1 or min(size, default=0) < 1:
        raise InputError(f"maps of shape {list(raw.shape)} cannot be resized to {list(size)}")
    for axis, length in enumerate(size, start=1):
        if raw.shape[axis] != length:
            weights = interpolation(raw.shape[axis], length).astype(raw.dtype)
            raw = np.moveaxis(np.moveaxis(raw, axis, -1) @ weights.T, -1, axis)
    return raw


@lru_cache(maxsize=64)
def interpolation(old: int, new: int) -> npt.NDArray[np.float64]:
    """Return the matrix ``[new, old]`` of triangular kernels that ``upsample`` multiplies by; each row sums to 1."""
    ratio = old / new
    centres = (np.arange(new) + 0.5) * ratio - 0.5
    distance = np.abs(centres[:, None] - np.arange(old))
    weights: npt.NDArray[np.float64] = np.maximum(0, 1 - distance / max(1.0, ratio))
    # A row at the edge lacks the part of the kernel that hangs over it; scaled up, it is as if the edge were extended.
    weights /= weights.sum(axis=1, keepdims=True)
    weights.flags.writeable = False  # the cache hands the same matrix to everybody
    return weights
