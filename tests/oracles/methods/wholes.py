"""Oracles of methods that read the whole network: biases, attention, several layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from tests.networks.small import Network
from tests.networks.special import Special
from tests.oracles.methods.arrays import positions
from tests.oracles.methods.sampled import layer_at
from tests.oracles.registry import Floats, oracles, view_oracle


def enlarged(cam: Floats, size: tuple[int, ...]) -> Floats:
    """Return a map at another size, as torch has it."""
    return np.asarray(interpolate(torch.tensor(cam)[None, None], size, mode="bilinear", align_corners=False)[0, 0])


def bias_shares(network: Special, image: int) -> list[Floats]:
    """Return each bias times the gradient of the value it is part of, ``[K, *spatial]``, caught by hooks."""
    body, caught = network.body, []
    modules = (body.first, body.norm, body.second, body.last)
    hooks = [module.register_forward_hook(lambda _m, _x, value: caught.append(value)) for module in modules]
    score = body(torch.tensor(network.x[image])[None])[0, network.targets[image]]
    for hook in hooks:
        hook.remove()
    slopes = [slope[0].numpy() for slope in torch.autograd.grad(score, caught)]
    norm = body.norm
    shift = norm(torch.zeros(1, 4, 1, 1, dtype=torch.float64))[0, :, 0, 0]  # the module of zeros is its bias
    constants = [bias.detach() for bias in (body.first.bias, shift, body.second.bias, body.last.bias)]
    pairs = zip(constants, slopes, strict=True)
    return [np.array([float(b) * g for b, g in zip(bias, slope, strict=True)]) for bias, slope in pairs]


@view_oracle("full-grad", {"form": "signed"}, networks=["biased"])
def full_grad(method: Any, network: Special, image: int) -> Floats:
    x = network.x[image]
    shares = [x * layer_at(network, image, x)[1], *bias_shares(network, image)]
    cam = np.zeros(x.shape[1:])
    for channel in (channel for share in shares if share.ndim == x.ndim for channel in share):
        if method.form == "signed":
            cam += enlarged(channel, cam.shape) * channel.size / cam.size
        else:
            low, high = min(abs(channel).ravel()), max(abs(channel).ravel())
            cam += enlarged((abs(channel) - low) / (high - low if high > low else 1), cam.shape)
    return cam


@view_oracle("finer-cam", {"base": "layer-cam"}, {"alpha": 0.5}, {"count": 2}, {"weights": "probability"})
def finer_cam(method: Any, network: Network, image: int) -> Floats:
    """Return the base's map; the contrast of scores is made by the explainer, not by the method."""
    return np.asarray(oracles()[method.base].run(method, *layer_at(network, image, network.x[image])))


def layer_maps(name: str, network: Special, image: int) -> list[Floats]:
    """Return the positive part of a method's map at each layer."""
    found = []
    for trunk, head in network.stages:
        a = trunk(torch.tensor(network.x[image])[None]).detach().requires_grad_()
        (g,) = torch.autograd.grad(head(a)[0, network.targets[image]], a)
        fields = type("Fields", (), {"eps": 0.0})
        found.append(np.maximum(oracles()[name].run(fields, a[0].detach().numpy(), g[0].numpy()), 0))
    return found


@view_oracle("refine-cam", {"base": "layer-cam"}, {"layers": (0, 1, 2)}, networks=["layered"])
def refine_cam(method: Any, network: Special, image: int) -> Floats:
    maps = layer_maps(method.base, network, image)
    size = max(cam.shape for cam in maps)
    product = np.ones(size)
    for cam in maps:
        product *= enlarged((cam - cam.min()) / (cam.max() - cam.min()), size)
    return product


@view_oracle(
    "rollout",
    {"heads": "max"},
    {"heads": "min"},
    {"discard_ratio": 0.3},
    {"form": "vit-explain"},
    {"heads": "max", "form": "vit-explain", "discard_ratio": 0.9},
    networks=["class token", "mean of tokens"],
)
def rollout(method: Any, network: Special, image: int) -> Floats:
    _, layers = network.body.attend(torch.tensor(network.x[image])[None])
    count = layers[0].shape[-1]
    flow = [[float(i == j) for j in range(count)] for i in range(count)]  # from a layer's tokens to the patches
    for layer in layers:
        values = layer[0].detach().numpy()
        fuse: Any = {"mean": lambda all_heads: sum(all_heads) / len(all_heads), "max": max, "min": min}[method.heads]
        fused = [[fuse([float(head[i, j]) for head in values]) for j in range(count)] for i in range(count)]
        weakest = sorted((fused[i][j], i, j) for i in range(count) for j in range(count))
        for _, i, j in weakest[: math.floor(method.discard_ratio * count**2)]:
            if (i, j) != (0, 0) or method.form == "paper":
                fused[i][j] = 0.0
        mixed = [[(fused[i][j] + float(i == j)) / 2 for j in range(count)] for i in range(count)]
        sums = [sum(row) for row in mixed]
        mixed = [[mixed[i][j] / sums[i if method.form == "paper" else j] for j in range(count)] for i in range(count)]
        flow = [[sum(mixed[i][m] * flow[m][j] for m in range(count)) for j in range(count)] for i in range(count)]
    rows = flow[:1] if network.leading else flow
    tokens = [sum(row[j] for row in rows) / len(rows) for j in range(network.leading, count)]
    return np.array(tokens).reshape(network.grid)


@view_oracle("le-grad", networks=["class token", "mean of tokens"])
def le_grad(_: Any, network: Special, image: int) -> Floats:
    logits, layers = network.body.attend(torch.tensor(network.x[image])[None])
    cam = np.zeros(network.grid)
    for slopes in torch.autograd.grad(logits[0, network.targets[image]], layers):
        heads, queries, _ = slopes[0].shape
        for position, xy in enumerate(positions(cam[None])):
            total = sum(
                max(float(slopes[0, head, query, network.leading + position]), 0.0)
                for head in range(heads)
                for query in range(queries)
            )
            cam[xy] += total / (heads * queries)
    return cam
