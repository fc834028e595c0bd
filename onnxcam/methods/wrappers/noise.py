"""Averaging over noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array
from onnxcam.methods.nested import Wrapper
from onnxcam.methods.support.field_checks import check_counts
from onnxcam.methods.support.noise import noisy_mean
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class Noise(Wrapper):
    """Mean map of noisy copies of the image.

    ``L = mean_i base(x + sigma (max x - min x) e_i)``, ``e_i`` standard Gaussian noise, the same for every image.

    Source: Smilkov et al. 2017.

    Differences: they average gradients; here the maps of any method are averaged.

    Attributes:
        method: the method whose maps are averaged.
        n: number of noisy copies, at least 1.
        sigma: standard deviation of the noise as a fraction of the image's range.
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
        return noisy_mean(self.inner.explain, view, self.n, self.sigma, self.seed)
