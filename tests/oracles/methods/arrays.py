"""Oracles of the formulas of activations and gradients."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.oracles.registry import Floats, oracle


def positions(a: Floats) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(length) for length in a.shape[1:]))


def weighted(weights: list[float], a: Floats) -> Floats:
    cam = np.zeros(a.shape[1:])
    for xy in positions(a):
        for k, weight in enumerate(weights):
            cam[xy] += weight * a[k][xy]
    return cam


def each_product(a: Floats, g: Floats, combine: Callable[[float, float], float]) -> Floats:
    cam = np.zeros(a.shape[1:])
    for xy in positions(a):
        for k in range(len(a)):
            cam[xy] += combine(float(a[k][xy]), float(g[k][xy]))
    return cam


@oracle("cam")
def cam(_: Any, a: Floats, g: Floats) -> Floats:
    return weighted([sum(float(g[k][xy]) for xy in positions(a)) for k in range(len(a))], a)


@oracle("grad-cam")
def grad_cam(_: Any, a: Floats, g: Floats) -> Floats:
    count = len(list(positions(a)))
    return weighted([sum(float(g[k][xy]) for xy in positions(a)) / count for k in range(len(a))], a)


@oracle("grad-cam++", {"eps": 1e-6})
def grad_cam_plus_plus(method: Any, a: Floats, g: Floats) -> Floats:
    weights = []
    for k in range(len(a)):
        total = sum(float(a[k][xy]) for xy in positions(a))
        weight = 0.0
        for xy in positions(a):
            slope = float(g[k][xy])
            denominator = 2 * slope**2 + total * slope**3 + method.eps
            if slope > 0 and denominator != 0:
                weight += slope**2 / denominator * slope
        weights.append(weight)
    return weighted(weights, a)


@oracle("hires-cam")
def hires_cam(_: Any, a: Floats, g: Floats) -> Floats:
    return each_product(a, g, lambda activation, slope: activation * slope)


@oracle("grad-cam-elementwise")
def grad_cam_elementwise(_: Any, a: Floats, g: Floats) -> Floats:
    return each_product(a, g, lambda activation, slope: max(activation * slope, 0.0))


@oracle("layer-cam")
def layer_cam(_: Any, a: Floats, g: Floats) -> Floats:
    return each_product(a, g, lambda activation, slope: activation * max(slope, 0.0))


@oracle("gradient-x-input")
def gradient_x_input(_: Any, a: Floats, g: Floats) -> Floats:
    return each_product(a, g, lambda value, slope: value * slope)


@oracle("xgrad-cam", {"eps": 0.0})
def xgrad_cam(method: Any, a: Floats, g: Floats) -> Floats:
    weights = []
    for k in range(len(a)):
        denominator = sum(float(a[k][xy]) for xy in positions(a)) + method.eps
        # The paper's form: each gradient counts by its position's share of the channel's activation.
        shares = (float(a[k][xy]) / denominator * float(g[k][xy]) for xy in positions(a)) if denominator else ()
        weights.append(sum(shares))
    return weighted(weights, a)


@oracle("random-cam", {"seed": 7})
def random_cam(method: Any, a: Floats, _: Floats) -> Floats:
    draw = random.Random(method.seed)
    return weighted([draw.uniform(-1, 1) for _ in a], a)


@oracle("gradient", {"reduce": "sum"})
def gradient(method: Any, a: Floats, g: Floats) -> Floats:
    saliency = np.zeros(a.shape[1:])
    for xy in positions(a):
        slopes = [float(channel[xy]) for channel in g]
        saliency[xy] = sum(slopes) if method.reduce == "sum" else max(abs(slope) for slope in slopes)
    return saliency


@oracle("eigen-cam")
def eigen_cam(_: Any, a: Floats, __: Floats) -> Floats:
    return principal_component(a)


@oracle("eigen-grad-cam")
def eigen_grad_cam(_: Any, a: Floats, g: Floats) -> Floats:
    return principal_component(a * g)


def principal_component(x: Floats) -> Floats:
    """Project on the leading eigenvector of the covariance of channels, found by squaring that matrix."""
    spots = list(positions(x))
    centred = [
        [float(channel[xy]) - sum(float(channel[q]) for q in spots) / len(spots) for xy in spots] for channel in x
    ]
    power = [[math.fsum(p * q for p, q in zip(one, other, strict=True)) for other in centred] for one in centred]
    for _ in range(10):  # to the power 1024: all but the largest eigenvalue vanish
        largest = max(abs(entry) for row in power for entry in row)
        if largest == 0:
            return np.zeros(x.shape[1:])
        power = [[entry / largest for entry in row] for row in power]
        power = [[math.fsum(p * q for p, q in zip(row, other, strict=True)) for other in power] for row in power]
    direction = max(power, key=lambda row: sum(entry**2 for entry in row))
    length = math.sqrt(sum(entry**2 for entry in direction)) * (1 if sum(direction) >= 0 else -1)
    component = [
        sum(d / length * row[spot] for d, row in zip(direction, centred, strict=True)) for spot in range(len(spots))
    ]
    return np.array(component).reshape(x.shape[1:])
