"""Coordinates of the model's input in the original photograph, whether stretched, cropped or padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxcam.errors import InputError


@dataclass(frozen=True)
class Frame:
    """The part of a photograph that fills the model's input.

    Both sides are measured in pixels from the top left corner, where a pixel is the unit square that it covers: the
    centre of the first one is (0.5, 0.5).

    Attributes:
        photo: width and height of the original photograph.
        input: width and height of the model's input.
        box: left, top, right and bottom of the model's input in pixels of the photograph. Smaller than the photograph
            where it was cropped, larger where it was padded.
    """

    photo: tuple[int, int]
    input: tuple[int, int]
    box: tuple[float, float, float, float]

    @classmethod
    def whole(cls, photo: tuple[int, int], input: tuple[int, int]) -> Frame:
        """Return the frame of a photograph that was stretched to the input."""
        return cls(photo, input, (0.0, 0.0, float(photo[0]), float(photo[1])))

    @property
    def region(self) -> tuple[float, float, float, float]:
        """The part of the photograph that the model saw: the box without what padding added."""
        left, top, right, bottom = self.box
        return max(left, 0.0), max(top, 0.0), min(right, float(self.photo[0])), min(bottom, float(self.photo[1]))

    def to_photo(self, x: float, y: float) -> tuple[float, float]:
        """Return the point of the photograph under a point of the input."""
        left, top, right, bottom = self.box
        return left + x * (right - left) / self.input[0], top + y * (bottom - top) / self.input[1]

    def to_input(self, x: float, y: float) -> tuple[float, float]:
        """Return the point of the input over a point of the photograph; outside the input where that was not seen."""
        left, top, right, bottom = self.box
        return (x - left) * self.input[0] / (right - left), (y - top) * self.input[1] / (bottom - top)

    def place(
        self, map: npt.NDArray[Any], size: tuple[int, int] | None = None, outside: float = 0.0
    ) -> npt.NDArray[np.float32]:
        """Return a map of the model's input, resampled to the pixels of the photograph.

        Bilinear, and averaged where the photograph is coarser than the map. Values that are not finite count as 0.

        Args:
            map: ``[h, w]``, of any resolution; it spans the model's whole input.
            size: width and height to draw the photograph at; its own by default.
            outside: the value of pixels that the model did not see: 0 adds nothing to sums over the map, NaN
                distinguishes "not seen" from "not used".

        Returns:
            float32 ``[H, W]`` of that size, in the units of the map.

        Raises:
            InputError: the map has not two axes, or is empty.
        """
        if map.ndim != 2 or 0 in map.shape:
            raise InputError(f"a map must be [h, w], this one is {list(map.shape)}; give a map of two axes")
        width, height = size or self.photo
        left, top, right, bottom = self.box
        rows, seen_rows = _weights(height, map.shape[0], top / self.photo[1], bottom / self.photo[1])
        columns, seen_columns = _weights(width, map.shape[1], left / self.photo[0], right / self.photo[0])
        finite = np.nan_to_num(map, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
        placed: npt.NDArray[np.float32] = np.asarray(rows @ finite @ columns.T, dtype=np.float32)
        placed[~seen_rows, :] = outside
        placed[:, ~seen_columns] = outside
        return placed


def _weights(
    count: int, samples: int, start: float, stop: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return how much each sample counts for each pixel along one axis, and which pixels the samples reach.

    ``count`` pixels span 0 to 1, the samples span ``start`` to ``stop``.
    """
    centre = ((np.arange(count) + 0.5) / count - start) / (stop - start)
    # One sample is the least support: below that, interpolation would have holes; above it, the tent averages.
    support = max(1.0, samples / (count * (stop - start)))
    distance = np.abs(np.arange(samples)[None, :] + 0.5 - np.clip(centre, 0, 1)[:, None] * samples)
    tent = np.maximum(1 - distance / support, 0)
    return (tent / tent.sum(axis=1, keepdims=True)).astype(np.float32), (centre >= 0) & (centre <= 1)
