"""What a map is worth where the truth is known: its mass inside, and its highest position."""

from __future__ import annotations

from math import isqrt
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Map: TypeAlias = npt.NDArray[np.floating[Any]]
Mask: TypeAlias = npt.NDArray[np.bool_]


def share_inside(map: Map, truth: Mask) -> float:
    """Return the share of a map's mass that lies inside the truth; a blank map has a share of 0."""
    mass = float(map.sum(dtype=np.float64))
    return float(map[truth].sum(dtype=np.float64)) / mass if mass > 0 else 0.0


def hit(map: Map, near: Mask) -> float:
    """Return whether the highest position of a map lies in the truth or near enough, 0 or 1.

    Of several positions that are equally high, it is the share of them that do: the first of them would be the top left
    corner of a flat map. A blank map has none.
    """
    highest = map.max()
    return float(near[map == highest].mean()) if highest > 0 else 0.0


def boxes_mask(boxes: list[list[float]], size: tuple[int, int]) -> Mask:
    """Return which pixels have their centre in one of the boxes.

    Args:
        boxes: left, top, right and bottom of each, where a pixel is the unit square that it covers.
        size: width and height of the photograph.
    """
    x, y = (np.arange(length) + 0.5 for length in size)
    found = np.zeros((size[1], size[0]), np.bool_)
    for left, top, right, bottom in boxes:
        found |= ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))
    return found


def grown(truth: Mask, reach: int) -> Mask:
    """Return which pixels are at most so many pixels away from the truth, centre to centre."""
    height, width = truth.shape
    padded = np.pad(truth, reach)
    found = np.zeros_like(truth)
    # A disc is a run of pixels in each row, and a run is a difference of running sums.
    sums = np.pad(np.cumsum(padded, axis=1), ((0, 0), (1, 0)))
    for down in range(-reach, reach + 1):
        half = isqrt(reach**2 - down**2)
        rows = slice(reach + down, reach + down + height)
        after, before = reach + half + 1, reach - half
        found |= sums[rows, after : after + width] > sums[rows, before : before + width]
    return found
