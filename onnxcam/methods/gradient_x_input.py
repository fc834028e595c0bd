"""Gradient times input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from onnxcam.methods.base import Array, GradientMethod


@dataclass(frozen=True)
class GradientXInput(GradientMethod):
    """Input values times their gradient: HiResCAM's formula at the input.

    ``L = sum_k x_k g_k`` over the input's channels. The input is what the network receives, after preprocessing: where
    that is 0, so is the map. For a ReLU network without biases the sum of the map is the score.

    Source: Shrikumar et al. 2016. The paper scores each input value; summing over channels makes a map of that.
    """

    name: ClassVar[str] = "gradient-x-input"
    paper: ClassVar[str] = "shrikumar2016"
    at: ClassVar[Literal["layer", "input"]] = "input"

    def __call__(self, a: Array, g: Array) -> Array:
        """Return ``[N, *spatial]``, signed, in units of the score."""
        xp = a.__array_namespace__()
        return xp.sum(g * a, axis=1)
