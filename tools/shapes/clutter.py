"""What the shape is drawn on: clutter that does not depend on the class."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .outlines import Points
from .randomness import Randomness

SIZE: Final = 96
"""Width and height of an image in pixels."""
FINE: Final = 4
"""Polygons are drawn this many times larger, then averaged down, for smooth edges."""


def clutter(random: Randomness) -> NDArray[np.float64]:
    """A gradient with soft blobs, line strokes, dots and scraps.

    The scraps and dots stay well below the smallest shape in size, the blobs have no edge, and none has a class's form.

    Args:
        random: The source of every number used.

    Returns:
        float64 [96, 96, 3] in 0..255, whole numbers.
    """
    ground = np.clip(_gradient(random) + _blobs(random), 0, 255).astype(np.uint8)
    fine = Image.fromarray(ground).resize((SIZE * FINE, SIZE * FINE), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(fine)
    for draw_one, low, high in ((_stroke, 8, 16), (_scrap, 6, 12), (_dot, 12, 36)):
        for _ in range(random.count(low, high)):
            points = draw_one(random)
            red, green, blue = random.colour().astype(int).tolist()
            pen.polygon(fine_corners(points), fill=(red, green, blue))
    return np.asarray(fine.reduce(FINE), dtype=np.float64)


def fine_corners(points: Points) -> list[tuple[int, int]]:
    """Corners in image pixels -> whole pixels of the enlarged canvas.

    Rounded here, so that how a Pillow release treats fractions does not matter.
    """
    return [(x, y) for x, y in np.rint(points * FINE).astype(int).tolist()]


def _gradient(random: Randomness) -> NDArray[np.float64]:
    """A straight run from one colour to another across the image, float64 [96, 96, 3]."""
    angle = random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1) - 0.5
    along = np.clip((x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2) + 0.5, 0, 1)[..., None]
    run: NDArray[np.float64] = (1 - along) * random.colour() + along * random.colour()
    return run


def _blobs(random: Randomness) -> NDArray[np.float64]:
    """Soft stretched spots that lighten, darken or tint, float64 [96, 96, 3] around 0."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    total = np.zeros((SIZE, SIZE, 3))
    for _ in range(random.count(4, 9)):
        centre, widths = random.array(2, high=SIZE), random.array(2, low=4, high=16)
        angle = random.uniform(0, np.pi)
        u = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
        v = (y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)
        spot = np.exp(-0.5 * ((u / widths[0]) ** 2 + (v / widths[1]) ** 2))
        total += spot[..., None] * random.array(3, low=-110, high=110)
    return total


def _stroke(random: Randomness) -> Points:
    """A straight line across some of the image, as the thin rectangle it covers."""
    start, angle = random.array(2, high=SIZE), random.uniform(0, 2 * np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    end = start + along * random.uniform(15, 80)
    side = np.array([-along[1], along[0]]) * random.uniform(0.4, 1.4)
    return np.stack([start - side, start + side, end + side, end - side])


def _scrap(random: Randomness) -> Points:
    """A small jagged splinter."""
    corners = random.count(5, 8)
    angles = 2 * np.pi * (np.arange(corners) + random.array(corners, low=-0.4, high=0.4)) / corners
    radii = random.uniform(2.5, 6.0) * random.array(corners, low=0.25, high=1.0)
    spokes: Points = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return random.array(2, high=SIZE) + spokes


def _dot(random: Randomness) -> Points:
    """A speck of a pixel or three."""
    angles = 2 * np.pi * np.arange(12) / 12
    radius = random.uniform(0.6, 2.0)
    return random.array(2, high=SIZE) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
