"""Whether the peak of a map lies on the object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from onnxcam.arrays import Array
from onnxcam.errors import InputError
from onnxcam.metrics.base import Measured, Metric, MetricNeeds
from onnxcam.metrics.view import ExplainedSamples


@dataclass(frozen=True)
class PointingGame(Metric):
    """Whether the map's maximum lies on the object or near it.

    ``H = 1`` where the distance from the position of the maximum to the nearest position of the mask is at most the
    tolerance, else 0. Where several positions share the maximum, the share of them that hit: what one of them, chosen
    at random, would hit on average, so that a constant map scores at chance.

    Source: Zhang et al. 2018 (Excitation Backprop), with a tolerance of 15 pixels. They take the mean over the samples
    of each class, then over classes.

    Attributes:
        tolerance: distance in pixels of the model's input that still counts as a hit.
    """

    name: ClassVar[str] = "pointing-game"
    paper: ClassVar[str] = "zhang2018"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[MetricNeeds] = MetricNeeds(truth=True)

    tolerance: int = 15

    def __post_init__(self) -> None:
        """Refuse a negative tolerance."""
        super().__post_init__()
        if self.tolerance < 0:
            raise InputError(f"field tolerance of {self.name} is {self.tolerance}; it must be at least 0")

    def measure(self, view: ExplainedSamples) -> Measured:
        """Return 1 for a hit and 0 for a miss; between them where positions share the maximum."""
        pairs = zip(view.maps, view.masks, strict=True)
        return Measured(np.array([self._near(mask)[one == one.max()].mean() for one, mask in pairs]))

    def chance(self, view: ExplainedSamples) -> Array:
        """Return the share of positions that hit."""
        return np.array([self._near(mask).mean() for mask in view.masks])

    def _near(self, mask: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return the positions within the tolerance of the mask."""
        if not mask.any():
            raise InputError("a truth mask is empty; leave out samples whose object is not visible")
        reach = self.tolerance
        squared = np.where(mask, 0.0, np.inf)
        # The squared distance to a set is a minimum of sums over axes, so that one axis after another is exact.
        for axis, length in enumerate(mask.shape):
            around = [(reach, reach) if other == axis else (0, 0) for other in range(mask.ndim)]
            padded = np.pad(squared, around, constant_values=np.inf)
            steps = range(-reach, reach + 1)
            squared = np.minimum.reduce(
                [padded.take(np.arange(length) + reach + step, axis) + step**2 for step in steps]
            )
        return squared <= reach**2
