"""Activations in the ways that exporters and authors write them, as functions of one value."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

_C = math.sqrt(2 / math.pi)

ACTIVATIONS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "gelu": {
        "operator": functional.gelu,
        "half first": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
        "half last": lambda x: x * (1 + torch.erf(x * math.sqrt(0.5))) * 0.5,
        "half inside": lambda x: x * (0.5 * (1.0 + torch.erf(x / 2**0.5))),
        "cdf": lambda x: x * (0.5 + 0.5 * torch.erf(0.7071067811865476 * x)),
        "erfc": lambda x: (x / 2) * (1 - torch.erf(-x / 2**0.5)),
    },
    "gelu-tanh": {
        "operator": lambda x: functional.gelu(x, approximate="tanh"),
        "power": lambda x: 0.5 * x * (1 + torch.tanh(_C * (x + 0.044715 * torch.pow(x, 3)))),
        "products": lambda x: x * (0.5 * (1 + torch.tanh(x * 0.7978845608 * (1 + 0.044715 * x * x)))),
        "sigmoid": lambda x: x * torch.sigmoid(2 * _C * (x + 0.044715 * x**3)),
    },
    "quick-gelu": {
        "sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
        "exponential": lambda x: x / (1 + torch.exp(-1.702 * x)),
    },
    "silu": {
        "operator": functional.silu,
        "sigmoid": lambda x: x * torch.sigmoid(x),
        "other order": lambda x: torch.sigmoid(x) * x,
        "exponential": lambda x: x / (1 + torch.exp(-x)),
        "tanh": lambda x: 0.5 * x * (1 + torch.tanh(0.5 * x)),
    },
    "hard-swish": {
        "operator": functional.hardswish,
        "hard sigmoid": lambda x: x * functional.hardsigmoid(x),
        "relu6": lambda x: x * (functional.relu6(x + 3) / 6),
        "relu6 last": lambda x: x * functional.relu6(x + 3) / 6,
        "clamp": lambda x: x * torch.clamp(x + 3, 0, 6) * (1 / 6),
        "extrema": lambda x: x * torch.minimum(torch.relu(x / 6 + 0.5), torch.ones(())),
    },
    "mish": {
        "operator": functional.mish,
        "softplus": lambda x: x * torch.tanh(functional.softplus(x)),
        "logarithm": lambda x: x * torch.tanh(torch.log(1 + torch.exp(x))),
        "rational": lambda x: x * (((1 + torch.exp(x)) ** 2 - 1) / ((1 + torch.exp(x)) ** 2 + 1)),
    },
    "softplus": {"operator": functional.softplus, "logarithm": lambda x: torch.log(1 + torch.exp(x))},
    "leaky": {
        "operator": lambda x: functional.leaky_relu(x, 0.1),
        "maximum": lambda x: torch.maximum(x, 0.1 * x),
        "where": lambda x: torch.where(x > 0, x, 0.1 * x),
        "two rectifiers": lambda x: torch.relu(x) - 0.1 * torch.relu(-x),
    },
    "elu": {
        "operator": functional.elu,
        "where": lambda x: torch.where(x > 0, x, torch.exp(x) - 1),
        "parts": lambda x: torch.relu(x) + torch.exp(-torch.relu(-x)) - 1,
    },
}


class Activated(nn.Module):  # type: ignore[misc]
    """Two convolutions, each followed by an activation of one kind, the second one with a shortcut; a dense layer."""

    def __init__(self, kind: str, form: str) -> None:
        super().__init__()
        self.act = ACTIVATIONS[kind][form]
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.last = nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        x = self.act(2 * self.first(x))
        x = x + self.act(self.second(x))
        return self.last(x.mean(dim=(2, 3)))
