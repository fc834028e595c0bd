"""Grad-CAM++."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, relu, safe_divide, spatial
from onnxcam.methods.base import WeightedMethod


@dataclass(frozen=True)
class GradCAMPlusPlus(WeightedMethod):
    """Feature maps weighted by their positive gradients, with a coefficient for each position.

    ``L = sum_k w_k A_k``, ``w_k = sum_xy alpha relu(g_k)``, ``alpha = g^2 / (2 g^2 + (sum_xy A_k) g^3 + eps)``, and 0
    where the denominator is 0.

    Source: Chattopadhay et al. 2018, eq. 7 and 19. The second and third derivatives are powers of the gradient when the
    score is passed through an exponential, whose positive factor is left out.

    Differences: the authors' code also scales the alphas of each channel to sum 1, at the revision that was read over
    all positions; the paper, and this, do not. It keeps the factor of the exponential.

    Attributes:
        eps: added to the denominator; pytorch-grad-cam has 1e-6. Gradients well below its square root (1e-3) then count
            by their cube instead of half their value: another map wherever gradients are small.
    """

    name: ClassVar[str] = "grad-cam++"
    paper: ClassVar[str] = "chattopadhay2018"
    eps: float = 0.0

    def components(self, a: Array, g: Array) -> Array:
        """Return the terms of the sum, signed where activations are."""
        xp = a.__array_namespace__()
        total = xp.sum(a, axis=spatial(a), keepdims=True)
        # With eps = 0 the square cancels, and left in it would underflow to 0/0 on small float32 gradients.
        square = g * g if self.eps else xp.ones_like(g)
        alpha = safe_divide(square, square * (2.0 + total * g) + self.eps)
        w = xp.sum(alpha * relu(g), axis=spatial(g), keepdims=True)
        return w * a
