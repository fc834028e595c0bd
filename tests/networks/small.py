"""Small torch networks for methods that use a view: run directly by oracles, through a view by the methods."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tests.networks.torch_view import TorchView, small_network

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Network:
    """``head(trunk(x))`` are logits ``[N, classes]``; a class is explained of each image."""

    trunk: Any
    head: Any
    x: Floats
    targets: tuple[int, ...]
    affine: bool = False

    def view(self, images: Sequence[int] | None = None) -> TorchView:
        """Return a view of these images in this order; of all if not given."""
        chosen = list(range(len(self.targets)) if images is None else images)
        return TorchView(self.trunk, self.head, self.x[chosen], [self.targets[i] for i in chosen], self.affine)

    def single(self) -> Network:
        """Return the same network in float32."""
        trunk, head = (copy.deepcopy(module).float() for module in (self.trunk, self.head))
        return Network(trunk, head, self.x.astype(np.float32), self.targets, self.affine)

    def activations(self, image: int) -> Floats:
        """Return the layer's value ``[K, *spatial]``."""
        return np.asarray(self.trunk(torch.tensor(self.x[image])[None]).detach().numpy()[0])

    def of_layer(self, image: int, a: Floats, probability: bool = False) -> float:
        """Return the score that the head gives to a value of the layer, for the image's class."""
        return self._pick(self.head, image, a, probability)

    def of(self, image: int, x: Floats, probability: bool = False) -> float:
        """Return the score of another input, for the image's class."""
        return self._pick(lambda images: self.head(self.trunk(images)), image, x, probability)

    def slopes(self, image: int) -> Floats:
        """Return the gradient of the score at the layer's value."""
        a = torch.tensor(self.activations(image)[None], requires_grad=True)
        (slopes,) = torch.autograd.grad(self.head(a)[0, self.targets[image]], a)
        return np.asarray(slopes.numpy()[0])

    def module(self, module: Callable[[Any], Any], a: Floats) -> Floats:
        """Return what one module of the network makes of one value."""
        return np.asarray(module(torch.tensor(a)[None]).detach().numpy()[0])

    def _pick(self, network: Callable[[Any], Any], image: int, value: Floats, probability: bool) -> float:
        with torch.no_grad():
            values = network(torch.tensor(value)[None])[0].numpy()
        if probability:
            values = np.exp(values) / sum(np.exp(values))
        return float(values[self.targets[image]])


def _small(affine: bool) -> Network:
    x = 4 * np.random.default_rng(5).normal(size=(3, 3, 10, 8))  # far from zero: probabilities differ between classes
    return Network(*small_network(affine=affine), x, (1, 4, 2), affine)


def _line() -> Network:
    """Series in place of images."""
    torch.manual_seed(3)
    nn = torch.nn
    trunk = nn.Sequential(nn.Conv1d(2, 5, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2))
    head = nn.Sequential(nn.Conv1d(5, 7, 3), nn.SiLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(7, 4))
    x = 4 * np.random.default_rng(6).normal(size=(3, 2, 18))
    return Network(trunk.double().eval(), head.double().eval(), x, (3, 0, 1))


SMALL: dict[str, Callable[[], Network]] = {
    "pooled": cache(lambda: _small(affine=True)),
    "curved": cache(lambda: _small(affine=False)),
    "line": cache(_line),
}
