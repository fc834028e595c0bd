"""Small torch networks for methods that ask a probe: run directly by oracles, through a probe by the methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tests.methods.torch_probe import TorchProbe, small_network

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Network:
    """``head(trunk(x))`` are logits ``[N, classes]``; a class is explained of each image."""

    trunk: Callable[[Any], Any]
    head: Callable[[Any], Any]
    x: Floats
    targets: tuple[int, ...]
    affine: bool = False

    def probe(self, images: Sequence[int] | None = None) -> TorchProbe:
        """Return a probe of these images in this order; of all if not given."""
        chosen = list(range(len(self.targets)) if images is None else images)
        return TorchProbe(self.trunk, self.head, self.x[chosen], [self.targets[i] for i in chosen], self.affine)

    def activations(self, image: int) -> Floats:
        """Return the layer's value ``[K, *spatial]``."""
        return np.asarray(self.trunk(torch.tensor(self.x[image])[None]).detach().numpy()[0])

    def behind(self, image: int, a: Floats, probability: bool = False) -> float:
        """Return the score that the head gives to a value of the layer, for the image's class."""
        return self._pick(self.head(torch.tensor(a)[None]), image, probability)

    def of(self, image: int, x: Floats, probability: bool = False) -> float:
        """Return the score of another input, for the image's class."""
        return self._pick(self.head(self.trunk(torch.tensor(x)[None])), image, probability)

    def _pick(self, logits: Any, image: int, probability: bool) -> float:
        values = logits[0].detach().numpy()
        if probability:
            values = np.exp(values) / sum(np.exp(values))
        return float(values[self.targets[image]])


def _small(affine: bool) -> Network:
    x = np.random.default_rng(5).normal(size=(3, 3, 10, 8))
    return Network(*small_network(affine=affine), x, (1, 4, 2), affine)


NETWORKS: dict[str, Callable[[], Network]] = {
    "pooled": cache(lambda: _small(affine=True)),
    "curved": cache(lambda: _small(affine=False)),
}
