"""Oracles of the methods that run what follows the layer: each channel or position hidden or kept by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.networks.small import Network
from tests.oracles.methods.arrays import positions, weighted
from tests.oracles.registry import Floats, view_oracle

NETWORKS = ("pooled", "curved", "line")


@view_oracle("ablation-cam", {"normalise": True}, {"closed_form": False}, networks=NETWORKS)
def ablation_cam(method: Any, network: Network, image: int) -> Floats:
    a = network.activations(image)
    score = network.of_layer(image, a)
    weights = []
    for k in range(len(a)):
        without = a.copy()
        without[k] = 0
        drop = score - network.of_layer(image, without)
        weights.append(drop / score if method.normalise else drop)
    return weighted(weights, a)


@view_oracle(
    "recipro-cam",
    {"mask": "gaussian"},
    {"score": "probability"},
    {"closed_form": False},
    {"mask": "gaussian", "closed_form": False},
    {"mask": "spread"},
    {"mask": "spread", "closed_form": False},
    {"mask": "spread", "score": "probability"},
    networks=NETWORKS,
)
def recipro_cam(method: Any, network: Network, image: int) -> Floats:
    a = network.activations(image)
    cam = np.zeros(a.shape[1:])
    for xy in positions(a):
        kept = np.zeros_like(a)
        for at in positions(a):
            share = float(xy == at)
            if method.mask != "point":
                share = math.prod({0: 1 / 2, 1: 1 / 4}.get(abs(p - q), 0) for p, q in zip(xy, at, strict=True))
            for k in range(len(a)):
                kept[k][at] = a[k][xy if method.mask == "spread" else at] * share
        cam[xy] = network.of_layer(image, kept, method.score == "probability")
    return cam


@view_oracle("lift-cam", networks=NETWORKS)
def lift_cam(_: Any, network: Network, image: int) -> Floats:
    a = network.activations(image)
    shares = affine_shares(network, image, a) if network.affine else rescaled_shares(network, image, a)
    return weighted(shares, a)


def affine_shares(network: Network, image: int, a: Floats) -> list[float]:
    nothing = np.zeros_like(a)
    return [network.of_layer(image, only(a, k)) - network.of_layer(image, nothing) for k in range(len(a))]


def rescaled_shares(network: Network, image: int, a: Floats) -> list[float]:
    """DeepLIFT's rescale rule, for convolution, SiLU, mean, linear layer: the parts are read from the network."""
    first, activation, _, _, last = network.head
    inner, outer = network.module(first, np.zeros_like(a)), network.module(first, a)
    before, after = (network.module(activation, x) for x in (inner, outer))
    shares = []
    for k in range(len(a)):
        arriving = network.module(first, only(a, k)) - inner
        share = 0.0
        for unit in range(len(arriving)):
            weight = float(last.weight.detach()[network.targets[image], unit]) / arriving[unit].size
            for xy in positions(arriving):
                slope = (after[unit][xy] - before[unit][xy]) / (outer[unit][xy] - inner[unit][xy])
                share += weight * slope * arriving[unit][xy]
        shares.append(share)
    return shares


def only(a: Floats, k: int) -> Floats:
    kept = np.zeros_like(a)
    kept[k] = a[k]
    return kept
