"""How concentrated a map is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import safe_divide
from onnxcam.metrics.base import Measured, Metric
from onnxcam.metrics.view import ExplainedSamples


@dataclass(frozen=True)
class Sparseness(Metric):
    """How few positions hold most of the map: the Gini index of its absolute values.

    With ``v`` the absolute values of the ``n`` positions in ascending order,
    ``G = sum_k (2k - n - 1) v_k / (n sum_k v_k)``: 0 for a constant map, ``1 - 1/n`` for a single position that is not
    zero, 1/3 for uniform noise of many positions. It does not change when the map is scaled. A map of zeros has 0.

    Source: Chalasani et al. 2020, the Gini index of Hurley and Rickard 2009.
    """

    name: ClassVar[str] = "sparseness"
    paper: ClassVar[str] = "chalasani2020"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def measure(self, view: ExplainedSamples) -> Measured:
        """Return the Gini index of each map."""
        values = np.sort(np.abs(view.maps.reshape(len(view.maps), -1).astype(np.float64)), axis=1)
        n = values.shape[1]
        differences = values @ (2 * np.arange(1, n + 1) - n - 1.0)
        # Equal values cancel, but for rounding.
        return Measured(safe_divide(np.maximum(differences, 0), n * values.sum(axis=1)))
