"""How much of the model's confidence is lost where the map is low."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import divide_by_peak, safe_divide
from onnxcam.metrics.base import Measured, Metric, MetricNeeds
from onnxcam.metrics.view import ExplainedSamples


@dataclass(frozen=True)
class AverageDrop(Metric):
    """The share of the target's probability that is lost when the image is multiplied by its map.

    ``D = max(0, p - p') / p`` with ``p`` the probability of the image ``x`` and ``p'`` that of ``x * m``, where the map
    ``m`` is the positive part divided by its maximum. 0 where the probability does not fall, or is 0 already.

    Source: Chattopadhay et al. 2018 (Grad-CAM++), who give the mean over samples in percent. They scale maps from
    minimum to maximum; here 0 stays 0, as in the maps that are displayed.
    """

    name: ClassVar[str] = "average-drop"
    paper: ClassVar[str] = "chattopadhay2018"
    better: ClassVar[Literal["higher", "lower"]] = "lower"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[MetricNeeds] = MetricNeeds(runs=True)

    def measure(self, view: ExplainedSamples) -> Measured:
        """Return the relative drop of each sample's probability."""
        samples = np.arange(len(view.images))
        kept = divide_by_peak(np.maximum(view.maps, 0))[:, None]
        before, after = (
            view.probability(images, samples).astype(np.float64) for images in (view.images, view.images * kept)
        )
        return Measured(safe_divide(np.maximum(before - after, 0), before))
