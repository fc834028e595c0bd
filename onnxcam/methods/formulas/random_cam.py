"""Random-CAM."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, spatial
from onnxcam.methods.base import ActivationMethod


@dataclass(frozen=True)
class RandomCAM(ActivationMethod):
    """Feature maps with random weights: a control that any useful method should beat.

    ``L = sum_k w_k A_k``, ``w_k ~ U(-1, 1)``.

    Source: ``RandomCAM`` of pytorch-grad-cam.

    Differences: there each image draws its own weights from the global generator; here they depend on the seed and the
    channel alone, so that a map does not depend on the batch that its image is in.

    Attributes:
        seed: of the weights.
    """

    name: ClassVar[str] = "random-cam"
    paper: ClassVar[str] = "gildenblat2021"
    seed: int = 0

    def weights(self, channels: int) -> list[float]:
        """Return one weight in [-1, 1] for each channel, the same on every machine and for every array library."""
        draw = random.Random(self.seed)
        return [draw.uniform(-1.0, 1.0) for _ in range(channels)]

    def __call__(self, a: Array) -> Array:
        """Return ``[N, *spatial]``, signed, in units of the activations."""
        xp = a.__array_namespace__()
        w = xp.asarray(self.weights(a.shape[1]), dtype=a.dtype)
        return xp.sum(xp.reshape(w, (1, -1, *(1 for _ in spatial(a)))) * a, axis=1)
