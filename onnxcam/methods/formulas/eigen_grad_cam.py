"""EigenGrad-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array
from onnxcam.methods.base import GradientMethod
from onnxcam.methods.support.principal_component import first_component, judged_by_size
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class EigenGradCAM(GradientMethod):
    """First principal component of gradient times activation.

    ``L = (P - mean_xy P)^T v``, ``P = g * A``, with ``v`` the unit vector over channels of the greatest variance.

    Source: ``EigenGradCAM`` of pytorch-grad-cam, after Eigen-CAM; no paper defines it.

    Differences: the sign, arbitrary there, is chosen so that the map agrees with HiResCAM, the sum of ``P`` over
    channels.
    """

    name: ClassVar[str] = "eigen-grad-cam"
    paper: ClassVar[str] = "gildenblat2021"

    def judged(self, view: NetworkView) -> list[Array]:
        """Return what is decomposed."""
        return judged_by_size(view.g * view.a)

    def __call__(self, a: Array, g: Array) -> Array:
        """Return ``[N, *spatial]``, signed, mean 0, in units of the score."""
        return first_component(g * a)
