"""Grad-CAM, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, relu
from onnxcam.methods.base import WeightedMethod


@dataclass(frozen=True)
class GradCAMElementwise(WeightedMethod):
    """Sum of the positive products of gradient and activation; for comparison with pytorch-grad-cam.

    ``L = sum_k relu(g_k * A_k)``. Negative products are dropped in each channel before channels are summed, so that a
    position can be highlighted although its channels cancel. HiResCAM is the form that is faithful to the model.

    Source: ``GradCAMElementWise`` of pytorch-grad-cam; no paper defines it.

    Differences: none.
    """

    name: ClassVar[str] = "grad-cam-elementwise"
    paper: ClassVar[str] = "gildenblat2021"

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: it cannot, since only positive products are kept."""
        return False

    def components(self, a: Array, g: Array) -> Array:
        """Return the terms of the sum, never negative, in units of the score."""
        return relu(g * a)
