"""Averaging over noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array
from onnxcam.methods.base import check_counts
from onnxcam.methods.nested import Wrapper
from onnxcam.methods.support.sampling import noisy
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class Noise(Wrapper):
    """The mean map of noisy copies of the image.

    ``L = mean_i base(x + sigma (max x - min x) e_i)``, ``e_i`` standard Gaussian noise, the same for every image.

    Source: Smilkov et al. 2017, whose average this takes of any method's maps.

    Attributes:
        method: of the maps.
        n: noisy copies.
        sigma: standard deviation of the noise as a share of the image's range.
        seed: of the noise.
    """

    name: ClassVar[str] = "noise"
    paper: ClassVar[str] = "smilkov2017"
    n: int = 10
    sigma: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse fewer than one copy."""
        super().__post_init__()
        check_counts(self, "n")

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, as the wrapped method."""
        return sum(self.inner.explain(one) for one in noisy(view, self.n, self.sigma, self.seed)) / self.n
