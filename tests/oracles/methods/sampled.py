"""Oracles of methods that look at the network at other inputs, or twice: noise, paths, second derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.networks.small import Network
from tests.oracles.methods.arrays import positions, weighted
from tests.oracles.registry import Floats, oracles, view_oracle


def layer_at(network: Network, image: int, x: Floats) -> tuple[Floats, Floats]:
    """Return the layer's value and gradient at one input."""
    a = network.trunk(torch.tensor(x)[None]).detach().requires_grad_()
    (g,) = torch.autograd.grad(network.head(a)[0, network.targets[image]], a)
    return a[0].detach().numpy(), g[0].numpy()


def hires_at(network: Network, image: int, x: Floats) -> Floats:
    """Return the map that HiResCAM's oracle makes of another input."""
    return oracles()["hires-cam"].run(None, *layer_at(network, image, x))


def mean_over_positions(channel: Floats) -> float:
    return sum(float(value) for value in channel.ravel()) / channel.size


def noises(method: Any, shape: tuple[int, ...]) -> list[Floats]:
    draw = np.random.default_rng(method.seed)
    return [draw.standard_normal(shape) for _ in range(method.n)]


@view_oracle("smooth-grad-cam++", {"n": 2}, {"sigma": 0.1}, {"seed": 5})
def smooth_grad_cam_plus_plus(method: Any, network: Network, image: int) -> Floats:
    x = network.x[image]
    slopes = [layer_at(network, image, x + method.sigma * noise)[1] for noise in noises(method, x.shape)]
    a, weights = network.activations(image), []
    for k in range(len(a)):
        total, weight = sum(float(value) for value in a[k].ravel()), 0.0
        for xy in positions(a):
            first, second, third = (sum(float(g[k][xy]) ** power for g in slopes) / method.n for power in (1, 2, 3))
            denominator = 2 * second + total * third
            if first > 0 and denominator != 0:
                weight += second / denominator * first
        weights.append(weight)
    return weighted(weights, a)


@view_oracle("integrated-grad-cam", {"steps": 3}, {"baseline": -0.5})
def integrated_grad_cam(method: Any, network: Network, image: int) -> Floats:
    x = network.x[image]
    a, empty = network.activations(image), layer_at(network, image, np.full_like(x, method.baseline))[0]
    weights = [0.0] * len(a)
    for step in range(method.steps):
        t = (step + 0.5) / method.steps
        g = layer_at(network, image, method.baseline + t * (x - method.baseline))[1]
        for k in range(len(a)):
            weights[k] += mean_over_positions(g[k]) / method.steps
    return weighted(weights, a - empty)


@view_oracle(
    "integrated-gradients",
    {"steps": 4},
    {"baseline": 0.3},
    {"rule": "midpoint"},
    quick={"steps": 6},
    networks=["input"],
)
def integrated_gradients(method: Any, network: Network, image: int) -> Floats:
    x, cam = network.x[image], np.zeros(network.x.shape[2:])
    nodes, weights = np.polynomial.legendre.leggauss(method.steps)  # of the interval from -1 to 1
    for step in range(method.steps):
        t, weight = (nodes[step] + 1) / 2, weights[step] / 2
        if method.rule == "midpoint":
            t, weight = (step + 0.5) / method.steps, 1 / method.steps
        g = layer_at(network, image, method.baseline + t * (x - method.baseline))[1]
        for xy in positions(x):
            for k in range(len(x)):
                cam[xy] += weight * (x[k][xy] - method.baseline) * g[k][xy]
    return cam


@view_oracle(
    "smooth-grad", {"n": 2}, {"sigma": 0.4}, {"seed": 3}, {"reduce": "sum"}, quick={"n": 3}, networks=["input"]
)
def smooth_grad(method: Any, network: Network, image: int) -> Floats:
    x, cam = network.x[image], np.zeros(network.x.shape[2:])
    spread = method.sigma * (max(x.ravel()) - min(x.ravel()))
    slopes = [layer_at(network, image, x + spread * noise)[1] for noise in noises(method, x.shape)]
    for xy in positions(x):
        means = [sum(float(g[k][xy]) for g in slopes) / method.n for k in range(len(x))]
        cam[xy] = sum(means) if method.reduce == "sum" else max(abs(mean) for mean in means)
    return cam


@view_oracle("shapley-cam")
def shapley_cam(_: Any, network: Network, image: int) -> Floats:
    """The whole matrix of second derivatives, times the activations."""
    a = network.activations(image)
    target = network.targets[image]
    hessian = torch.autograd.functional.hessian(lambda value: network.head(value[None])[0, target], torch.tensor(a))
    curved = np.tensordot(hessian.numpy(), a, axes=a.ndim)
    g = layer_at(network, image, network.x[image])[1]
    return weighted([mean_over_positions(g[k] - curved[k] / 2) for k in range(len(a))], a)
