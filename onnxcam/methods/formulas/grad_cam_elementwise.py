"""Grad-CAM, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, relu
from onnxcam.methods.base import WeightedMethod


@dataclass(frozen=True)
class GradCAMElementwise(WeightedMethod):
    """Positive products of gradient and activation only: offered for parity, not faithful.

    ``L = sum_k relu(g_k * A_k)``. What speaks against the target is dropped in each channel before the channels meet,
    so that a place can be lit although its channels cancel. HiResCAM is the faithful form.

    Source: ``GradCAMElementWise`` of pytorch-grad-cam; no paper defines it.
    """

    name: ClassVar[str] = "grad-cam-elementwise"
    paper: ClassVar[str] = "gildenblat2021"

    @property
    def signed(self) -> bool:
        """Only positive products are kept."""
        return False

    def components(self, a: Array, g: Array) -> Array:
        """Return the terms of the sum, never negative, in units of the score."""
        return relu(g * a)
