"""Oracles of principal components and rare positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.oracles.methods.arrays import positions, principal_component, weighted
from tests.oracles.registry import Floats, oracle


@oracle("fem", {"k": 1.5})
def fem(method: Any, a: Floats, _: Floats) -> Floats:
    weights = []
    for channel in a:
        values = [float(value) for value in channel.ravel()]
        mean = math.fsum(values) / len(values)
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        weights.append(sum(value > mean + method.k * deviation for value in values) / len(values))
    return weighted(weights, a)


@oracle("seg-eigen-cam")
def seg_eigen_cam(_: Any, a: Floats, g: Floats) -> Floats:
    found = principal_component(abs(g) * a)
    low, high = abs(min(found.ravel())), abs(max(found.ravel()))
    return -found if low - high > 1e-6 * high else found


@oracle("kpca-cam", {"kernel": "rbf"}, {"kernel": "linear"}, {"gamma": 0.7})
def kpca_cam(method: Any, a: Floats, _: Floats) -> Floats:
    spots, gamma = list(positions(a)), method.gamma or 1 / len(a)
    means = [math.fsum(float(channel[xy]) for xy in spots) / len(spots) for channel in a]
    vectors = [[float(channel[xy]) - mean for channel, mean in zip(a, means, strict=True)] for xy in spots]
    kernel = np.array([[likeness(method.kernel, gamma, p, q) for q in vectors] for p in vectors])
    total = kernel.mean()
    centred = np.array([[kernel[i, j] - kernel[i].mean() - kernel[:, j].mean() + total for j in range(len(spots))]
                        for i in range(len(spots))])  # fmt: skip
    # Shifted so that no eigenvalue is negative, and squared until only the largest is left.
    power = centred + max(abs(row).sum() for row in centred) * np.eye(len(spots))
    for _round in range(40):
        power = power @ power / max(abs(power).max() ** 2, 1e-300)
    direction = max(power, key=lambda row: (row**2).sum())
    direction = direction / math.sqrt((direction**2).sum())
    value = direction @ centred @ direction
    agreement = sum(d * sum(vector) for d, vector in zip(direction, vectors, strict=True))
    return np.asarray(math.sqrt(max(value, 0)) * (-direction if agreement < 0 else direction)).reshape(a.shape[1:])


def likeness(kernel: str, gamma: float, p: list[float], q: list[float]) -> float:
    product = sum(one * other for one, other in zip(p, q, strict=True))
    if kernel == "linear":
        return product
    if kernel == "sigmoid":
        return math.tanh(gamma * product + 1)
    return math.exp(-gamma * sum((one - other) ** 2 for one, other in zip(p, q, strict=True)))
