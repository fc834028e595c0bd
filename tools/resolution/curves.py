"""What becomes of a probability as pixels come or go in the order of a map: insertion and deletion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.methods.support.blur import gaussian_blur
from tools.truth.scores import Map

Images: TypeAlias = npt.NDArray[Any]
Numbers: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]
# Images [N, C, H, W] to the probability of one class in each, [N].
Seen: TypeAlias = Callable[[Images], Numbers]

# As RISE has it: positions that are averaged along an axis, and the standard deviation in positions.
KERNEL, SIGMA = 11, 5.0
_SEED = 0


@dataclass(frozen=True)
class Ends:
    """Where the curves of one image begin and end.

    Insertion goes from blurred to whole, deletion from whole to plain.

    Attributes:
        images: ``[3, C, H, W]``, as the network takes them: blurred, whole, plain.
        values: ``[3]``, probability of the true class in each.
    """

    images: Images
    values: Numbers

    @classmethod
    def of(cls, image: Images, seen: Seen) -> Ends:
        """Return the ends for one image ``[C, H, W]``; plain is 0, the mean colour of normalised inputs."""
        images = np.stack([gaussian_blur(image, KERNEL, SIGMA), image, np.zeros_like(image)])
        return cls(images, seen(images))


def ranked(map: Map) -> Indices:
    """Return the pixels of a map ``[h, w]`` as flat indices, the highest first.

    Equal ones come in an order that was drawn once for all maps of that size: by rows, a flat map would be one that
    prefers the top.
    """
    drawn = np.random.default_rng(_SEED).permutation(map.size)
    return np.asarray(drawn[np.argsort(-map.ravel()[drawn], kind="stable")])


def counts(pixels: int, steps: int) -> Indices:
    """Return how many pixels have changed after each step, ``[steps + 1]`` from 0 to all."""
    return np.rint(np.arange(steps + 1) * pixels / steps).astype(np.int64)


def between(start: Images, stop: Images, order: Indices, steps: int) -> Images:
    """Return the images on the way from one to another, without these two, ``[steps - 1, C, H, W]``.

    Args:
        start: ``[C, H, W]``.
        stop: of the same shape.
        order: pixels as flat indices of ``[H, W]``: which of them change first.
        steps: in how many equal parts they do.
    """
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    changed = rank.reshape(start.shape[1:]) < counts(len(order), steps)[1:-1, None, None]
    return np.where(changed[:, None], stop, start)


def areas(ends: Ends, seen: Seen, map: Map, steps: int) -> tuple[float, float]:
    """Return the areas under an image's insertion and deletion curves.

    Probability of the class over the share of pixels that have changed, both from 0 to 1, by the trapezoid rule; the
    highest of the map change first. Insertion is better where it is high, deletion where it is low.

    Args:
        ends: of that image.
        seen: the network, for its class.
        map: ``[H, W]``, of the image's size; only its order counts.
        steps: parts that the pixels change in.

    Source: Petsiuk et al. 2018 (RISE); there 1792 pixels a step, here a share of them.
    """
    blurred, whole, plain = ends.images
    order = ranked(map)
    ways = [between(blurred, whole, order, steps), between(whole, plain, order, steps)]
    inserted, deleted = np.split(seen(np.concatenate(ways)), 2)
    share = counts(map.size, steps) / map.size
    first, middle, last = ends.values
    return (
        float(np.trapezoid([first, *inserted, middle], share)),
        float(np.trapezoid([middle, *deleted, last], share)),
    )
