"""One image of the set: a single deciding shape on clutter, and the pixels it covers."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .clutter import FINE, SIZE, clutter, fine_corners
from .outlines import CLASSES, REACH, Points, outline
from .randomness import Randomness

RADII: Final = (9.5, 15.5)
"""Smallest and largest shape, as the radius in pixels of the circle of the same area."""
CONTRAST: Final = 100.0
"""Least distance in RGB between the shape's colour and the mean of the clutter where it will stand."""


@dataclass(frozen=True)
class Drawing:
    """An image with its answer.

    Attributes:
        image: uint8 [96, 96, 3], RGB.
        label: The class index.
        mask: bool [96, 96], true on every pixel that the shape touches and on no other.
    """

    image: NDArray[np.uint8]
    label: int
    mask: NDArray[np.bool_]

    @property
    def name(self) -> str:
        """The class's name."""
        return CLASSES[self.label]


def draw(seed: int, label: int | None = None) -> Drawing:
    """Draw the image that a seed stands for.

    Every random number is drawn before the class is looked at, and in the same order for all classes. So two drawings
    of one seed with different labels differ inside their masks only.

    Args:
        seed: Any non-negative whole number.
        label: The class index, 0..5; left out, the seed's remainder by 6, which keeps runs of seeds balanced.

    Returns:
        The drawing.
    """
    random = Randomness(seed)
    ground = clutter(random)
    radius, angle = random.uniform(*RADII), random.uniform(0, 2 * np.pi)
    centre = random.array(2, low=REACH * radius, high=SIZE - REACH * radius)
    colour = _standing_out(random, ground, centre, radius)
    noise = random.uniform(5, 22) * random.array(SIZE, SIZE, 3, low=-1, high=1)

    label = seed % len(CLASSES) if label is None else label
    turn = radius * np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
    cover = _cover([centre + polygon @ turn for polygon in outline(label)])
    pixels = ground + cover[..., None] * (colour - ground) + noise
    return Drawing(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), label, cover > 0)


def _cover(polygons: list[Points]) -> NDArray[np.float64]:
    """How much of each pixel a rim less its holes covers, float64 [96, 96] in 0..1."""
    rim, *holes = polygons
    fine = Image.new("L", (SIZE * FINE, SIZE * FINE), 0)
    pen = ImageDraw.Draw(fine)
    pen.polygon(fine_corners(rim), fill=1)
    for hole in holes:
        pen.polygon(fine_corners(hole), fill=0)
    # Counted rather than reduced as a picture, whose rounding would lose pixels that are barely touched.
    share: NDArray[np.float64] = np.asarray(fine, dtype=np.float64).reshape(SIZE, FINE, SIZE, FINE).mean(axis=(1, 3))
    return share


def _standing_out(
    random: Randomness, ground: NDArray[np.float64], centre: NDArray[np.float64], radius: float
) -> NDArray[np.float64]:
    """A random colour that differs clearly from the clutter around the shape, float64 [3].

    The disc looked at is the same for all classes, so that colour says nothing of the class.
    """
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    near = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < (1.2 * radius) ** 2
    candidates = random.array(32, 3, high=255.0)
    distance = np.linalg.norm(candidates - ground[near].mean(axis=0), axis=1)
    clear = distance >= CONTRAST
    chosen: NDArray[np.float64] = candidates[np.argmax(clear) if clear.any() else np.argmax(distance)]
    return chosen
