"""FEM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, spatial
from onnxcam.methods.base import ActivationMethod


@dataclass(frozen=True)
class FEM(ActivationMethod):
    """Feature maps weighted by their fraction of positions with unusually strong activation; class-agnostic.

    ``L = sum_k w_k A_k``, ``w_k`` the fraction of the positions where ``A_k > mean_xy A_k + k std_xy A_k``.

    Source: Fuad et al. 2020, and ``FEM`` of pytorch-grad-cam. The standard deviation divides by the number of
    positions, not by one less.

    Differences: none from pytorch-grad-cam.

    Attributes:
        k: how many standard deviations above its channel's mean an activation has to be to count.
    """

    name: ClassVar[str] = "fem"
    paper: ClassVar[str] = "fuad2020"
    k: float = 2.0

    def __call__(self, a: Array) -> Array:
        """Return ``[N, *spatial]``, signed where activations are, in their units."""
        xp = a.__array_namespace__()
        mean = xp.mean(a, axis=spatial(a), keepdims=True)
        deviation = xp.std(a, axis=spatial(a), keepdims=True)
        rare = xp.astype(a > mean + self.k * deviation, a.dtype)
        w = xp.mean(rare, axis=spatial(a), keepdims=True)
        return xp.sum(w * a, axis=1)
