"""Display maps: the positive part of raw maps, at the input's size, in [0, 1]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from onnxcam.arrays import Maps, divide_by_peak, upsample

if TYPE_CHECKING:
    from collections.abc import Sequence

# Raw maps are float32: positions that differ by less than this share of the maximum are equal to rounding.
_FLAT = 1e-6


def display(
    raw: Maps, size: Sequence[int], signed: bool = True, enlarged_first: bool = False
) -> tuple[npt.NDArray[np.float32], list[list[str]]]:
    """Return display maps, and for each the warnings that a reader needs before trusting it.

    ``upsample(relu(L)) / max``. The minimum is not subtracted: 0 means that a position does not support the
    target, and it must still mean that in the picture. (pytorch-grad-cam subtracts it, so that the position that
    supports the target least is shown as one that does not support it.)

    A map with nothing positive becomes blank, and a constant one is 1 everywhere. Positions that are not finite are
    shown as 0, the rest of their map as if they were 0. Each of these is a warning, never an exception.

    Args:
        raw: ``[N, *spatial]``.
        size: of the input, one length for each spatial axis.
        signed: whether the method's raw map can be negative. If not, a negative value is an error of the method.
        enlarged_first: ``relu(upsample(L)) / max``, the order of some authors. It differs where a map has both signs.

    Returns:
        Float32 maps ``[N, *size]`` in [0, 1], the maximum of each that is not blank being 1; and a list of warnings for
        each image, empty if there are none.
    """
    finite = np.isfinite(raw)
    values = np.where(finite, raw, 0).astype(np.float64)
    if not signed and (values < 0).any():
        raise ValueError("a method that declares its maps unsigned returned a negative one")
    if enlarged_first:
        values = np.asarray(upsample(values, size), np.float64)
    positive = np.maximum(values, 0)
    # Scaled before it is enlarged, in float64: neither huge nor tiny scores leave the range of float32.
    maps = upsample(divide_by_peak(positive).astype(np.float32), size)
    maps = np.clip(divide_by_peak(maps), 0, 1)
    for one, source in zip(maps, positive, strict=True):
        if _is_flat(source):
            one[...] = 1
    return maps, [_warnings(*pair) for pair in zip(values, finite, strict=True)]


def _is_flat(positive: Maps) -> bool:
    peak = positive.max()
    return bool(peak > 0 and positive.min() >= peak * (1 - _FLAT))


def _warnings(values: Maps, finite: npt.NDArray[np.bool_]) -> list[str]:
    """Return the warnings about one raw map, whose positions that are not finite are 0 in ``values``."""
    if not finite.any():
        return ["the map is blank: every position is NaN or infinite"]
    found = []
    if not finite.all():
        found.append(f"{int((~finite).sum())} of {finite.size} positions are NaN or infinite; they are shown as 0")
    if values.max() <= 0:
        why = "no position raises the score" if values.min() < 0 else "the raw map is zero everywhere"
        found.append(f"the map is blank: {why}")
    elif _is_flat(values):
        found.append("the map is constant: it holds no location information")
    return found
