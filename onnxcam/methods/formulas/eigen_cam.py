"""Eigen-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array
from onnxcam.methods.base import ActivationMethod
from onnxcam.methods.support.principal_component import first_component, judged_by_size
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class EigenCAM(ActivationMethod):
    """First principal component of the feature maps; class-agnostic.

    ``L = (A - mean_xy A)^T v``, with ``v`` the unit vector over channels of the greatest variance over positions.

    Source: Muhammad & Yeasin 2020.

    Differences: the paper does not centre the activations; pytorch-grad-cam does, and so does this, since without it
    the component is mostly the mean. The sign is chosen so that the map agrees with the sum of the activations over
    channels.
    """

    name: ClassVar[str] = "eigen-cam"
    paper: ClassVar[str] = "muhammad2020"

    def judged(self, view: NetworkView) -> list[Array]:
        """Return what is decomposed."""
        return judged_by_size(view.a)

    def __call__(self, a: Array) -> Array:
        """Return ``[N, *spatial]``, signed, mean 0, in units of the activations."""
        return first_component(a)
