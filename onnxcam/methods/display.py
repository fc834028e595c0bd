"""From raw maps to what people look at: the positive part, at the input's size, in [0, 1]."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Maps: TypeAlias = npt.NDArray[np.floating[Any]]

# Raw maps are float32: places that differ by less than this share of the maximum are equal to rounding.
_FLAT = 1e-6


def upsample(raw: Maps, size: Sequence[int]) -> Maps:
    """Return maps at another size: linear interpolation along each spatial axis.

    The centre of place ``i`` lies at ``i + 1/2``, and the outermost places extend to the edge: what torch calls
    bilinear with ``align_corners=False`` and OpenCV ``INTER_LINEAR``. Where an axis shrinks, the kernel widens by the
    same factor (torch's ``antialias=True``), so that every place of the raw map counts.

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


def display(raw: Maps, size: Sequence[int], signed: bool = True) -> tuple[npt.NDArray[np.float32], list[list[str]]]:
    """Return display maps, and for each what a reader must know before trusting it.

    ``upsample(relu(L)) / max``. The minimum is not subtracted: 0 means that a place does not speak for the target, and
    it must still mean that on the picture. (pytorch-grad-cam subtracts it, so that a place which does speak for the
    target, only the least of all, is shown as one that does not.)

    A map with nothing positive becomes blank, and a constant one is 1 everywhere. Places that are not finite are shown
    as 0, the rest of their map as if they were 0. Each of these is a warning, never an exception.

    Args:
        raw: ``[N, *spatial]``.
        size: of the input, one length for each spatial axis.
        signed: whether the method's raw map can be negative. If not, a negative place is a fault of the method.

    Returns:
        Float32 maps ``[N, *size]`` in [0, 1], the maximum of each that is not blank being 1; and a list of warnings for
        each image, empty where there is nothing to warn of.
    """
    finite = np.isfinite(raw)
    values = np.where(finite, raw, 0).astype(np.float64)
    if not signed and (values < 0).any():
        raise ValueError("a method that declares its maps unsigned returned a negative one")
    positive = np.maximum(values, 0)
    # Scaled before it is enlarged, in float64: neither huge nor tiny scores leave the range of float32.
    maps = upsample(_divide_by_peak(positive).astype(np.float32), size)
    maps = np.clip(_divide_by_peak(maps), 0, 1)
    for one, source in zip(maps, positive, strict=True):
        if _is_flat(source):
            one[...] = 1
    return maps, [_warnings(*pair) for pair in zip(values, finite, strict=True)]


@lru_cache(maxsize=64)
def interpolation(old: int, new: int) -> npt.NDArray[np.float64]:
    """Return the matrix ``[new, old]`` of triangular kernels; each row sums to 1."""
    ratio = old / new
    centres = (np.arange(new) + 0.5) * ratio - 0.5
    distance = np.abs(centres[:, None] - np.arange(old))
    weights: npt.NDArray[np.float64] = np.maximum(0, 1 - distance / max(1.0, ratio))
    # A row at the edge lacks the part of the kernel that hangs over it; scaled up, it is as if the edge were extended.
    weights /= weights.sum(axis=1, keepdims=True)
    weights.flags.writeable = False  # the cache hands the same matrix to everybody
    return weights


def _divide_by_peak(maps: Maps) -> Maps:
    """Divide each map by its maximum; a map of zeros stays one."""
    peak = maps.max(axis=tuple(range(1, maps.ndim)), keepdims=True)
    return maps / np.where(peak > 0, peak, 1)


def _is_flat(positive: Maps) -> bool:
    peak = positive.max()
    return bool(peak > 0 and positive.min() >= peak * (1 - _FLAT))


def _warnings(values: Maps, finite: npt.NDArray[np.bool_]) -> list[str]:
    """Return what must be said of one raw map, whose places that are not finite are 0 in ``values``."""
    if not finite.any():
        return ["the map is blank: every place is NaN or infinite"]
    found = []
    if not finite.all():
        found.append(f"{int((~finite).sum())} of {finite.size} places are NaN or infinite; they are shown as 0")
    if values.max() <= 0:
        why = "no place speaks for the target" if values.min() < 0 else "the raw map is zero everywhere"
        found.append(f"the map is blank: {why}")
    elif _is_flat(values):
        found.append("the map is constant: it holds no location information")
    return found
