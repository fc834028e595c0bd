"""Seg-Eigen-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, spatial
from onnxcam.methods.base import GradientMethod
from onnxcam.methods.support.principal_component import first_component, judged_by_size
from onnxcam.methods.view import NetworkView

# Magnitudes of minimum and maximum that differ by less than this share are equal to rounding.
_EVEN = 1e-6


@dataclass(frozen=True)
class SegEigenCAM(GradientMethod):
    """First principal component of activations weighted by their absolute gradient; for segmentation.

    ``L = (P - mean_xy P)^T v``, ``P = abs(g) * A``, with ``v`` the unit vector over channels of the greatest variance.
    The sign is chosen so that the value of largest magnitude is positive.

    Source: Chung & Ying 2025, eq. 10 to 13, made for scores of segmentation.

    Differences: none, except where minimum and maximum have the same magnitude: the paper's rule for the sign is
    undecided there, and the map agrees with the sum of ``P`` over channels.
    """

    name: ClassVar[str] = "seg-eigen-cam"
    paper: ClassVar[str] = "chung2025"

    def judged(self, view: NetworkView) -> list[Array]:
        """Return what is decomposed."""
        return judged_by_size(abs(view.g) * view.a)

    def __call__(self, a: Array, g: Array) -> Array:
        """Return ``[N, *spatial]``, signed, mean 0, in units of the score."""
        xp = a.__array_namespace__()
        component = first_component(xp.abs(g) * a)
        axes = tuple(axis - 1 for axis in spatial(a))
        low = -xp.min(component, axis=axes, keepdims=True)
        high = xp.max(component, axis=axes, keepdims=True)
        return xp.where(low > high * (1 + _EVEN), -component, component)
