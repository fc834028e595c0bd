"""Grad-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, spatial
from onnxcam.methods.base import WeightedMethod


@dataclass(frozen=True)
class GradCAM(WeightedMethod):
    """Feature maps weighted by their mean gradient.

    ``L = sum_k mean_xy(g_k) A_k``. The mean discards where in a channel the score would rise, so that a map can
    highlight positions that the model did not use; with global average pooling and a linear layer as the head nothing
    is lost.

    Source: Selvaraju et al. 2017, eq. 1 and 2.

    Differences: the authors' code sums where the paper takes the mean: another raw map, the same display map.
    """

    name: ClassVar[str] = "grad-cam"
    paper: ClassVar[str] = "selvaraju2017"

    def components(self, a: Array, g: Array) -> Array:
        """Return the terms of the sum, signed, in units of the score."""
        xp = a.__array_namespace__()
        w = xp.mean(g, axis=spatial(g), keepdims=True)
        return w * a
