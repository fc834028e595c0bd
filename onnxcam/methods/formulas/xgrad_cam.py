"""XGrad-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, safe_divide, spatial
from onnxcam.methods.base import WeightedMethod


@dataclass(frozen=True)
class XGradCAM(WeightedMethod):
    """Feature maps weighted by their mean gradient, in which each position counts by its activation.

    ``L = sum_k w_k A_k``, ``w_k = sum_xy(g_k A_k) / (sum_xy A_k + eps)``, and 0 where that denominator is 0. A channel
    has the same sum as in HiResCAM, distributed over positions as its activations are.

    Source: Fu et al. 2020, whose weights meet the paper's axioms Sensitivity and Conservation as closely as a gradient
    can.

    Differences: ``eps`` is that of pytorch-grad-cam, the authors' code has 1e-6. The denominator keeps its sign, as
    there.

    Attributes:
        eps: added to each channel's sum of activations, against division by 0 in dead channels.
    """

    name: ClassVar[str] = "xgrad-cam"
    paper: ClassVar[str] = "fu2020"
    eps: float = 1e-7

    def components(self, a: Array, g: Array) -> Array:
        """Return the terms of the sum, signed, in units of the score."""
        xp = a.__array_namespace__()
        evidence = xp.sum(g * a, axis=spatial(a), keepdims=True)
        total = xp.sum(a, axis=spatial(a), keepdims=True)
        w = safe_divide(evidence, total + self.eps)
        return w * a
