"""Smooth Grad-CAM++."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from onnxcam.arrays import Array, relu, safe_divide, spatial
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.field_checks import check_counts
from onnxcam.methods.support.noise import noisy_views
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class SmoothGradCAMPlusPlus(Method):
    """Grad-CAM++ with derivatives averaged over noisy copies of the image.

    ``L = sum_k w_k A_k``, ``w_k = sum_xy alpha relu(m1)``, ``alpha = m2 / (2 m2 + (sum_xy A_k) m3)`` and 0 where the
    denominator is 0, with ``m1``, ``m2``, ``m3`` the means of ``g_k``, ``g_k^2``, ``g_k^3`` over the copies.

    Source: Omeiza et al. 2019.

    Differences: activations are the image's own, and every image gets the same noise. torch-cam has ``sum_xy A_k m3``
    in the denominator, and takes ``m1`` and activations of its last copy only.

    Attributes:
        n: number of noisy copies, at least 1.
        sigma: standard deviation of the noise, in units of the image as the network receives it.
        seed: of the noise.
    """

    name: ClassVar[str] = "smooth-grad-cam++"
    paper: ClassVar[str] = "omeiza2019"
    needs: ClassVar[Needs] = Needs(gradient=True)
    n: int = 4
    sigma: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse fewer than one copy."""
        super().__post_init__()
        check_counts(self, "n")

    def judged(self, view: NetworkView) -> list[Array]:
        """Return the map of one image of those that it looks at."""
        return [replace(self, n=1).explain(view)]

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed where activations are."""
        a = view.a
        gradients = [one.g for one in noisy_views(view, self.n, self.sigma, self.seed, of_range=False)]
        every = tuple(range(1, a.ndim))
        # Squares of small float32 gradients would underflow; alpha needs them only up to a factor.
        peak = np.max([abs(g).max(axis=every, keepdims=True) for g in gradients], axis=0)
        peak = np.where(peak > 0, peak, 1)
        m1, m2, m3 = (sum((g / peak) ** power for g in gradients) / self.n for power in (1, 2, 3))
        total = peak * a.sum(axis=spatial(a), keepdims=True)
        alpha = safe_divide(m2, 2 * m2 + total * m3)
        w = (alpha * relu(peak * m1)).sum(axis=spatial(a), keepdims=True)
        return (w * a).sum(axis=1)
