"""The six deciding shapes as polygons of equal area."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

STAR_WAIST: Final = 0.45
"""Radius of a star's inner corners over that of its tips."""
CROSS_ARM: Final = 0.36
"""Half the width of a cross's arm over half its length."""
RING_HOLE: Final = 0.6
"""Radius of a ring's hole over that of its rim."""
ROUND: Final = 64
"""Corners of a polygon that passes for a circle at this size."""

Points = NDArray[np.float64]
"""Corners of one polygon, float64 [corners, 2], x then y."""


def _regular(corners: int, radius: float = 1.0) -> Points:
    angles = 2 * np.pi * np.arange(corners) / corners
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _circle() -> list[Points]:
    return [_regular(ROUND)]


def _square() -> list[Points]:
    return [_regular(4)]


def _triangle() -> list[Points]:
    return [_regular(3)]


def _star() -> list[Points]:
    points = _regular(10)
    points[1::2] *= STAR_WAIST
    return [points]


def _cross() -> list[Points]:
    a, b = 1.0, CROSS_ARM
    quarter = np.array([(a, -b), (a, b), (b, b)])
    turn = np.array([(0.0, 1.0), (-1.0, 0.0)])
    return [np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])]


def _ring() -> list[Points]:
    return [_regular(ROUND), _regular(ROUND, RING_HOLE)]


_OUTLINES: Final[dict[str, Callable[[], list[Points]]]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "ring": _ring,
}

CLASSES: Final = tuple(_OUTLINES)
"""The class names; a name's index in this tuple is the model's class index."""


def area(points: Points) -> float:
    """Area of a polygon, whichever way round it is listed."""
    x, y = points.T
    return abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2


def outline(label: int) -> list[Points]:
    """The shape of a class around the origin: its rim, then its hole where it has one.

    Every shape has the area of the unit circle. Equal areas leave form as the only difference between classes: the
    number of coloured pixels says nothing of the class.

    Args:
        label: The class index, 0..5.

    Returns:
        One or two polygons; the farthest corner is less than ``REACH`` from the origin.
    """
    rim, *holes = _OUTLINES[CLASSES[label]]()
    scale = np.sqrt(np.pi / (area(rim) - sum(area(hole) for hole in holes)))
    return [scale * polygon for polygon in (rim, *holes)]


REACH: Final = 1.6
"""How far from its centre any of the shapes extends, in radii of the circle of the same area."""
