"""Oracles of guided backpropagation: module by module, back through the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.networks.small import Network
from tests.oracles.methods.arrays import positions
from tests.oracles.methods.wholes import enlarged
from tests.oracles.registry import Floats, oracles, view_oracle

NETWORKS = ("pooled", "curved")
ACTIVATIONS = {"ReLU", "SiLU"}


def guided(network: Network, image: int) -> Floats:
    """Return the guided gradient at the input, ``[C, *space]``."""
    modules = [*network.trunk, *network.head]
    values = [torch.tensor(network.x[image])[None]]
    for module in modules:
        values.append(module(values[-1]).detach())
    slope = torch.zeros_like(values[-1])
    slope[0, network.targets[image]] = 1
    for module, value in zip(modules[::-1], values[-2::-1], strict=True):
        if type(module).__name__ in ACTIVATIONS:
            slope = torch.where(slope > 0, slope, 0.0)
        (slope,) = torch.autograd.grad(module(value.requires_grad_()), value, slope)
    return np.asarray(slope[0].numpy())


@view_oracle("guided-backprop", {"reduce": "max-abs"}, networks=(*NETWORKS, "line"))
def guided_backprop(method: Any, network: Network, image: int) -> Floats:
    found = guided(network, image)
    cam = np.zeros(found.shape[1:])
    for xy in positions(found):
        numbers = [float(channel[xy]) for channel in found]
        cam[xy] = sum(numbers) if method.reduce == "sum" else max(abs(number) for number in numbers)
    return cam


def guided_by(name: str, network: Network, image: int) -> Floats:
    fields = type("Fields", (), {"eps": 1e-7})
    cam = oracles()[name].run(fields, network.activations(image), network.slopes(image))
    found = guided(network, image)
    wide = enlarged(np.maximum(cam, 0), found.shape[1:])
    product = np.zeros(found.shape[1:])
    for xy in positions(found):
        product[xy] = sum(float(channel[xy]) for channel in found) * float(wide[xy])
    return product


@view_oracle("guided-grad-cam", networks=NETWORKS)
def guided_grad_cam(_: Any, network: Network, image: int) -> Floats:
    return guided_by("grad-cam", network, image)


@view_oracle("guided-xgrad-cam", networks=NETWORKS)
def guided_xgrad_cam(_: Any, network: Network, image: int) -> Floats:
    return guided_by("xgrad-cam", network, image)
