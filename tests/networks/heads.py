"""Heads with a gradient written by hand: what follows the layer, from activations ``[N, K, H, W]`` to one logit."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from tests.oracles.registry import Floats

SHAPE = (3, 6, 5, 4)  # N, K, H, W
POSITIONS = SHAPE[2] * SHAPE[3]


class Head(Protocol):
    def score(self, a: Floats) -> Floats: ...

    def gradient(self, a: Floats) -> Floats: ...


@dataclass(frozen=True)
class Linear:
    """``S = sum w A + bias``, with a weight for every channel and position."""

    weight: Floats
    bias: float

    def score(self, a: Floats) -> Floats:
        return np.asarray((self.weight * a).sum(axis=(1, 2, 3)) + self.bias)

    def gradient(self, a: Floats) -> Floats:
        return np.broadcast_to(self.weight, a.shape)


@dataclass(frozen=True)
class ReluMLP:
    """Flatten, then linear layers with ReLU between them; the last one has one unit, the logit."""

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    def sums(self, a: Floats) -> list[Floats]:
        """Return what enters each ReLU, and the logit."""
        found, x = [], a.reshape(len(a), -1)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            found.append(x @ weight + bias)
            x = np.maximum(found[-1], 0)
        return found

    def score(self, a: Floats) -> Floats:
        return self.sums(a)[-1][:, 0]

    def unit_gradients(self, a: Floats) -> list[Floats]:
        """Return dS/d(sum) for each of ``sums``."""
        sums = self.sums(a)
        slopes = [np.ones_like(sums[-1])]
        for weight, below in zip(self.weights[:0:-1], sums[-2::-1], strict=True):
            slopes.insert(0, slopes[0] @ weight.T * (below > 0))
        return slopes

    def gradient(self, a: Floats) -> Floats:
        return (self.unit_gradients(a)[0] @ self.weights[0].T).reshape(a.shape)


def activations(seed: int) -> Floats:
    """Return the output of a ReLU: no channel is dead in any image."""
    return np.maximum(np.random.default_rng(seed).normal(0.5, 1, SHAPE), 0)


def pooled(seed: int) -> tuple[Linear, Floats]:
    """Return global average pooling with a linear layer, and its weights ``[K, 1, 1]``."""
    draw = np.random.default_rng(seed)
    channel = draw.normal(size=(SHAPE[1], 1, 1))
    return Linear(np.broadcast_to(channel / POSITIONS, SHAPE[1:]), float(draw.normal())), channel


def flattened(seed: int) -> Linear:
    draw = np.random.default_rng(seed)
    return Linear(draw.normal(size=SHAPE[1:]), float(draw.normal()))


def relu_mlp(seed: int) -> ReluMLP:
    draw = np.random.default_rng(seed)
    widths = (SHAPE[1] * POSITIONS, 16, 8, 1)
    weights = tuple(draw.normal(0, rows**-0.5, (rows, columns)) for rows, columns in itertools.pairwise(widths))
    return ReluMLP(weights, tuple(draw.normal(size=columns) for columns in widths[1:]))
