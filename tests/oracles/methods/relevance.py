"""Oracles of relevance propagation: every module as a dense matrix, every rule in loops over its entries."""

from __future__ import annotations

import math
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import nn

from onnxcam.relevance.composite import Composite
from onnxcam.relevance.rules import Epsilon
from tests.networks.small import Network
from tests.networks.special import Special
from tests.oracles.dense_relevance import matrix, relevance
from tests.oracles.methods.wholes import enlarged
from tests.oracles.registry import Floats, view_oracle

LINEAR = {nn.Linear: "Gemm", nn.Conv1d: "Conv", nn.Conv2d: "Conv"}
PASSING = (nn.ReLU, nn.SiLU, nn.Identity)
# What "auto" is for a network without attention.
PLAIN = {
    "name": "plain",
    "rules": [
        {"at": "conv", "rule": "z-plus", "stabilizer": 0.0, "bias": False},
        {"at": "any", "rule": "epsilon", "stabilizer": 1e-6},
    ],
    "stabilizer": 1e-6,
    "spread": True,
}
PLUS = {
    "name": "plus",
    "rules": [{"at": "any", "rule": "z-plus", "stabilizer": 0.0, "bias": False}],
    "stabilizer": 0.0,
    "spread": True,
}
OWN = {
    "name": "own",
    "rules": [{"at": "first conv", "rule": "box"}, {"at": "any", "rule": "epsilon", "stabilizer": 0.1}],
}


def modules_of(*parts: Any) -> list[Any]:
    found: list[Any] = []
    for part in parts:
        found += modules_of(*part) if isinstance(part, nn.Sequential) else [part]
    return found


def run(module: Any, x: Floats) -> Floats:
    return np.asarray(module(torch.tensor(x)[None]).detach().numpy()[0], np.float64)


def down(modules: list[Any], x: Floats, r: Floats, composite: Composite, first: bool) -> Floats:
    """Return the relevance of one sample ``x``, given that of what a chain makes of it."""
    values = [x]
    for module in modules:
        values.append(run(module, values[-1]))
    for i in reversed(range(len(modules))):
        module, value, wide = modules[i], values[i], r.reshape(-1)
        if type(module) in LINEAR:
            begins = first and not any(type(before) in LINEAR for before in modules[:i])
            m, b = matrix(partial(run, module), value.shape)
            rule = composite.rule(LINEAR[type(module)], begins)
            r = relevance(rule, m, b, value.reshape(-1), wide, composite.spread).reshape(value.shape)
        elif isinstance(module, (nn.MaxPool1d, nn.MaxPool2d)):
            r = to_largest(value, r, module.kernel_size, composite.rectified_pools and not composite.spread)
        elif isinstance(module, (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AvgPool2d)):
            value = np.maximum(value, 0) if composite.rectified_pools else value
            m, b = matrix(partial(run, module), value.shape)
            rule = Epsilon(stabilizer=composite.stabilizer)
            r = relevance(rule, m, b, value.reshape(-1), wide, composite.spread).reshape(value.shape)
        elif isinstance(module, nn.Flatten):
            r = r.reshape(value.shape)
        else:
            assert isinstance(module, PASSING)
    return r


def to_largest(x: Floats, r: Floats, size: int, rectified: bool) -> Floats:
    """Give each window's relevance to the first of its largest numbers; rectified, only if that is positive."""
    found = np.zeros_like(x)
    for position in np.ndindex(r.shape):
        corners = [range(at * size, at * size + size) for at in position[1:]]
        window = [(position[0], *spot) for spot in product(*corners)]
        best = max(window, key=lambda spot: x[spot])
        if x[best] > 0 or not rectified:
            found[best] += r[position]
    return found


def ending(method: Any, network: Special, image: int) -> tuple[int, Floats]:
    """Return how many modules lie before the position where a method ends, and the value there."""
    depth = 0 if method.to == "input" else len(modules_of(network.stages[0][0]))
    x = network.x[image]
    for module in modules_of(network.trunk)[:depth]:
        x = run(module, x)
    return depth, x


def seeded(method: Any, network: Special, image: int, seed: Floats) -> Floats:
    """Return the relevance of an image's values ``[C, *space]``, from relevance of the scores."""
    depth, x = ending(method, network, image)
    modules = modules_of(network.trunk, network.head)[depth:]
    default = PLAIN if method.name == "lrp" else PLUS
    rules = default if method.composite == "auto" else method.composite
    return down(modules, x, seed, Composite.parse(rules), depth == 0)


def scores_of(network: Network, image: int) -> Floats:
    return run(network.head, run(network.trunk, network.x[image]))


@view_oracle("lrp", {"composite": "zero"}, {"composite": "z-plus"}, {"composite": OWN}, {"to": 0}, networks=["stacked"])
def lrp(method: Any, network: Special, image: int) -> Floats:
    scores, target = scores_of(network, image), network.targets[image]
    seed = np.array([score if n == target else 0.0 for n, score in enumerate(scores)])
    return np.asarray(sum(channel for channel in seeded(method, network, image, seed)))


@view_oracle("clrp", {"composite": "z-plus"}, {"to": 0}, networks=["stacked"])
def clrp(method: Any, network: Special, image: int) -> Floats:
    """The relevance of the class less that of the others, among which its score is spread: two propagations."""
    scores, target = scores_of(network, image), network.targets[image]
    alone = np.array([scores[target] if n == target else 0.0 for n in range(len(scores))])
    dual = np.array([0.0 if n == target else scores[target] / (len(scores) - 1) for n in range(len(scores))])
    both = [seeded(method, network, image, seed) for seed in (alone, dual)]
    return np.asarray(sum(both[0]) - sum(both[1]))


@view_oracle("sglrp", {"composite": "z-plus"}, {"to": 0}, networks=["stacked"])
def sglrp(method: Any, network: Special, image: int) -> Floats:
    scores, target = scores_of(network, image), network.targets[image]
    p = [math.exp(score) / sum(math.exp(other) for other in scores) for score in scores]
    seed = np.array([p[target] * (1 - p[n]) if n == target else -p[target] * p[n] for n in range(len(p))])
    return np.asarray(sum(seeded(method, network, image, seed)))


@view_oracle("relevance-cam")
def relevance_cam(_: Any, network: Network, image: int) -> Floats:
    a, target = network.activations(image), network.targets[image]
    count = len(scores_of(network, image))
    seed = np.array([1.0 if n == target else -1 / count for n in range(count)])
    r = down(modules_of(network.head), a, seed, Composite.parse({"rules": FINE["rules"][1:], "stabilizer": 0.0}), False)
    return np.asarray(
        sum(sum(relevant.ravel()) / relevant.size * channel for relevant, channel in zip(r, a, strict=True))
    )


FINE: dict[str, Any] = {
    "rules": [
        {"at": "first conv", "rule": "box", "stabilizer": 0.0, "bias": False},
        {"at": "any", "rule": "z-plus", "stabilizer": 0.0, "bias": False},
    ],
    "stabilizer": 0.0,
    "rectified_pools": True,
}


@view_oracle(
    "fg-cam",
    {"base": "score-cam"},
    {"denoise": True},
    {"to": 0},
    {"to": 0, "denoise": True},
    {"spread": True},
    {"spread": True, "denoise": True},
    networks=["stacked"],
)
def fg_cam(method: Any, network: Special, image: int) -> Floats:
    a = network.activations(image)
    if method.base == "grad-cam":
        weights = [float(slope.sum()) / slope.size for slope in network.slopes(image)]
    else:
        weights = [score_weight(network, image, channel) for channel in a]
    terms = np.stack([weight * channel for weight, channel in zip(weights, a, strict=True)])
    if method.denoise:
        rows = [channel.ravel() - sum(channel.ravel()) / channel.size for channel in terms]
        terms = main_part(np.stack(rows)).reshape(a.shape)  # a tenth of 6 is less than one: the first alone
    depth, x = ending(method, network, image)
    rules = Composite.parse({**FINE, "spread": method.spread})
    return np.asarray(sum(down(modules_of(network.trunk)[depth:], x, terms, rules, depth == 0)))


def score_weight(network: Special, image: int, channel: Floats) -> float:
    """Return the probability of the target in an image seen through a channel."""
    mask = enlarged(channel, network.x.shape[2:])
    if mask.max() == mask.min() or channel.max() == channel.min():
        return 0.0
    return network.of(image, network.x[image] * (mask - mask.min()) / (mask.max() - mask.min()), True)


def main_part(rows: Floats) -> Floats:
    """Return the part of a matrix along its first singular direction, by powers."""
    direction = rows[0] + 1e-3 * rows.sum(axis=0)
    for _ in range(4000):
        direction = rows.T @ (rows @ direction)
        direction = direction / np.sqrt((direction**2).sum())
    return np.outer(rows @ direction, direction)
