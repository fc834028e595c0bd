"""Gradient times input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array
from onnxcam.methods.base import WeightedMethod
from onnxcam.methods.needs import Needs


@dataclass(frozen=True)
class GradientXInput(WeightedMethod):
    """Input values times their gradients, summed over channels.

    ``L = sum_k x_k g_k`` over the input's channels: HiResCAM's formula at the input. ``x`` is the image as the network
    receives it, after preprocessing: where that is 0, so is the map. For a ReLU network without biases the sum of the
    map is the score.

    Source: Shrikumar et al. 2016.

    Differences: the paper scores each input value; summing over channels makes a map of that.
    """

    name: ClassVar[str] = "gradient-x-input"
    paper: ClassVar[str] = "shrikumar2016"
    needs: ClassVar[Needs] = Needs(at="input", gradient=True)

    def components(self, a: Array, g: Array) -> Array:
        """Return the terms of the sum, signed, in units of the score."""
        return g * a
