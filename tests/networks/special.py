"""Small torch networks whose views answer more: gradients at the input, of several layers, biases, attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from onnxcam.methods.view import Attention, NetworkView
from tests.networks.small import Floats, Network
from tests.networks.torch_view import TorchView, small_network

Stage = tuple[Callable[[Any], Any], Callable[[Any], Any]]


class SpecialView(TorchView):
    """A view that keeps its network, so that ``with_images`` returns a view of the same kind."""

    def __init__(self, network: Special, x: Floats, targets: Sequence[int]) -> None:
        super().__init__(network.trunk, network.head, x, targets, network.affine)
        self.network, self.leading_tokens = network, network.leading

    def with_images(self, x: Floats) -> SpecialView:
        return SpecialView(self.network, x, self.targets)

    def layers(self) -> Sequence[NetworkView]:
        return [TorchView(trunk, head, self.x, self.targets) for trunk, head in self.network.stages]

    def shares(self) -> list[Floats]:
        """Differentiate with respect to zeros that are added where the biases are."""
        body = self.network.body
        zeros = [torch.zeros_like(value, requires_grad=True) for value in body.sites(torch.tensor(self.x))]
        gradients = torch.autograd.grad(self._of(body(torch.tensor(self.x), zeros)).sum(), zeros)
        pairs = zip(body.constants(), gradients, strict=True)
        return [(bias.reshape(1, -1, *[1] * (g.ndim - 2)) * g).detach().numpy() for bias, g in pairs]

    def bias_terms(self) -> Sequence[Floats]:
        return [share for share in self.shares() if share.ndim == self.x.ndim]

    def bias_rest(self) -> Floats:
        return np.asarray(sum(share.sum(axis=1) for share in self.shares() if share.ndim == 2))

    def attentions(self) -> Sequence[Attention]:
        logits, maps = self.network.body.attend(torch.tensor(self.x))
        gradients = torch.autograd.grad(self._of(logits).sum(), maps)
        return [Attention(a.detach().numpy(), g.numpy()) for a, g in zip(maps, gradients, strict=True)]

    def to_positions(self, tokens: Floats) -> Floats:
        return np.asarray(tokens[..., self.leading_tokens :].reshape(*tokens.shape[:2], *self.network.grid))


@dataclass(frozen=True, eq=False)
class Special(Network):
    """A network with several layers, or with biases or attention that ``body`` gives."""

    stages: tuple[Stage, ...] = ()
    body: Any = None
    leading: int = 0
    grid: tuple[int, int] = (0, 0)

    def view(self, images: Sequence[int] | None = None) -> SpecialView:
        chosen = list(range(len(self.targets)) if images is None else images)
        return SpecialView(self, self.x[chosen], [self.targets[i] for i in chosen])


class Biased(nn.Module):  # type: ignore[misc]
    """Convolution, BatchNorm, ReLU, convolution, ReLU, pooling, linear: four positions where a constant is added."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.last = nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.Linear(5, 5)
        for tensor in (self.norm.running_mean, self.norm.weight, self.norm.bias):
            nn.init.normal_(tensor)

    def sites(self, x: Any, zeros: Sequence[Any] = (0, 0, 0, 0)) -> list[Any]:
        """Return the value after each constant is added."""
        first = self.first(x) + zeros[0]
        norm = self.norm(first) + zeros[1]
        second = self.second(norm.relu()) + zeros[2]
        return [first, norm, second, self.last(second.relu().mean(dim=(2, 3))) + zeros[3]]

    def forward(self, x: Any, zeros: Sequence[Any] = (0, 0, 0, 0)) -> Any:
        return self.sites(x, zeros)[-1]

    def constants(self) -> list[Any]:
        norm = self.norm
        shift = norm.bias - norm.weight * norm.running_mean / (norm.running_var + norm.eps).sqrt()
        return [self.first.bias, shift, self.second.bias, self.last.bias]


class Transformer(nn.Module):  # type: ignore[misc]
    """Patches of 2 x 2 values, two layers of two heads, and a class token or the mean of all."""

    def __init__(self, token: bool) -> None:
        super().__init__()
        width = 8
        self.patches = nn.Conv2d(3, width, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, width)) if token else None
        self.reads = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(2))
        self.last = nn.Linear(width, 5)

    def attend(self, x: Any) -> tuple[Any, list[Any]]:
        """Return logits, and the attention of each layer."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], dim=1)
        maps: list[Any] = []
        return self.after(tokens, maps), maps

    def after(self, tokens: Any, maps: list[Any] | None = None) -> Any:
        """Return the logits that follow from all tokens, and add the attention of each layer to ``maps``."""
        maps = [] if maps is None else maps
        for read in self.reads:
            query, key, value = read(tokens).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
            maps.append(torch.softmax(2 * query @ key.transpose(2, 3), dim=3))
            tokens = tokens + (maps[-1] @ value).transpose(1, 2).flatten(2).tanh()
        return self.last(tokens[:, 0] if self.token is not None else tokens.mean(dim=1))

    def forward(self, x: Any) -> Any:
        return self.attend(x)[0]


def _images(seed: int, size: tuple[int, int] = (8, 6)) -> Floats:
    return np.random.default_rng(seed).normal(0.3, 1, size=(3, 3, *size))


def _at_input(body: nn.Module, seed: int, **fields: Any) -> Special:
    return Special(nn.Identity(), body.double().eval(), _images(seed), (1, 4, 2), body=body, **fields)


def _biased() -> Special:
    torch.manual_seed(3)
    return _at_input(Biased(), 6)


def _transformer(token: bool) -> Special:
    torch.manual_seed(4)
    return _at_input(Transformer(token), 7, leading=int(token), grid=(4, 3))


def _layered() -> Special:
    torch.manual_seed(8)  # at each layer some position supports each target
    parts = [
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.SiLU()),
        nn.Sequential(nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.SiLU()),
        nn.Sequential(nn.Conv2d(5, 6, 3, stride=2, padding=1), nn.SiLU()),
        nn.Sequential(nn.Flatten(), nn.Linear(6 * 2 * 2, 5)),
    ]
    body = nn.Sequential(*parts).double().eval()
    stages = tuple((body[:depth], body[depth:]) for depth in (3, 2, 1))
    return Special(*stages[0], _images(8), (1, 4, 2), stages=stages)


def _stacked() -> Special:
    """Convolutions and pools of both kinds, as VGG is made; the finer layer is the first."""
    torch.manual_seed(10)
    trunk = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(5, 6, 3, padding=1), nn.ReLU()),
    )
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    body = nn.Sequential(*trunk, *head).double().eval()
    # Far from zero, so that probabilities differ between channels.
    return Special(body[:8], body[8:], 6 * _images(10, (12, 8)), (1, 4, 2), stages=((body[:2], body[2:]),))


SPECIAL: dict[str, Callable[[], Special]] = {
    "input": cache(lambda: _at_input(nn.Sequential(*small_network()), 9)),
    "biased": cache(_biased),
    "class token": cache(lambda: _transformer(token=True)),
    "mean of tokens": cache(lambda: _transformer(token=False)),
    "layered": cache(_layered),
    "stacked": cache(_stacked),
}
