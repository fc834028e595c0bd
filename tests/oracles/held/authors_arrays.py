"""Formulas of activations, gradients and attention against their authors' public code, written again in loops.

Each was read at the commit that it names; nothing of it is copied but the formula.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from tests.helpers.method_samples import fixed_pair
from tests.networks.special import Biased, Special, Transformer, _images
from tests.networks.table import NETWORKS
from tests.oracles.agreement import Pair, authors, held, others, ours
from tests.oracles.registry import Floats


class _Arrays:
    """Activations and gradient as the view of formulas that ask for no more."""

    def __init__(self) -> None:
        self.a, self.g = fixed_pair(seed=11, shape=(3, 6, 5, 4))


def _maps(name: str, **fields: Any) -> tuple[Floats, Floats, Floats]:
    """Return our maps, and the activations and gradient that they are made of."""
    arrays = _Arrays()
    return ours(name, arrays, **fields), arrays.a, arrays.g


def _weighted(weights: Any, a: Floats) -> Floats:
    """Return the sum of channels by their weights ``[N][K]``, added one after the other."""
    found = np.zeros((len(a), *a.shape[2:]))
    for n, k in np.ndindex(*a.shape[:2]):
        found[n] += weights[n][k] * a[n, k]
    return found


@held("cam", authors("zhoubolei/CAM", "18419ae"), "the raw map, from the weights of the linear layer")
def cam() -> Pair:
    network = NETWORKS["pooled"]()
    view = network.view()
    weight = network.head[-1].weight.detach().numpy()
    return ours("cam", view), _weighted([weight[target] for target in network.targets], view.a)


@held("grad-cam", authors("ramprs/grad-cam", "f039404"), "times the number of positions: theirs are sums")
def grad_cam() -> Pair:
    found, a, g = _maps("grad-cam")
    sums = [[sum(channel.ravel()) for channel in image] for image in g]
    return found * a[0, 0].size, _weighted(sums, a)


@held("grad-cam++", authors("adityac94/Grad_CAM_plus_plus", "a467cf1"), "alpha before they scale it")
def grad_cam_plus_plus() -> Pair:
    found, a, g = _maps("grad-cam++")
    weights = np.zeros(a.shape[:2])
    for n, k in np.ndindex(*weights.shape):
        total = sum(a[n, k].ravel())
        for slope in g[n, k].ravel():
            below = 2 * slope**2 + total * slope**3
            weights[n, k] += slope**2 / (below if below != 0 else 1) * max(slope, 0)
    return found, _weighted(weights, a)


@held("hires-cam", authors("rachellea/hirescam", "31e7704"), "`proposed_hirescam`")
def hires_cam() -> Pair:
    found, a, g = _maps("hires-cam")
    return found, sum(a[:, k] * g[:, k] for k in range(a.shape[1]))


@held("layer-cam", authors("PengtaoJiang/LayerCAM-jittor", "d5d1086"), "the raw map")
def layer_cam() -> Pair:
    found, a, g = _maps("layer-cam")
    return found, sum(a[:, k] * np.where(g[:, k] > 0, g[:, k], 0) for k in range(a.shape[1]))


@held("xgrad-cam", authors("Fu0511/XGrad-CAM", "ec545ee"), "eps=1e-6")
def xgrad_cam() -> Pair:
    found, a, g = _maps("xgrad-cam", eps=1e-6)
    weights = [[(g[n, k] * a[n, k]).sum() / (a[n, k].sum() + 1e-6) for k in range(6)] for n in range(3)]
    return found, _weighted(weights, a)


class _Even(Biased):
    """The network with biases, without a stride: every constant is added at the input's size."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Conv2d(4, 5, 3, padding=1)


@held("full-grad", authors("idiap/fullgrad-saliency", "bf274a9"), "form=signed: the terms before they rescale them")
def full_grad() -> Pair:
    torch.manual_seed(5)
    body = _Even().double().eval()
    network = Special(nn.Identity(), body, _images(12), (1, 4, 2), body=body)
    maps = []
    for x, target in zip(network.x, network.targets, strict=True):
        image = torch.tensor(x)[None].requires_grad_()
        sites = body.sites(image)
        slopes = torch.autograd.grad(sites[-1][0, target], [image, *sites[:-1]])
        total = (slopes[0] * image)[0].sum(dim=0)
        for constant, slope in zip(body.constants()[:-1], slopes[1:], strict=True):
            total = total + sum(constant[k] * slope[0, k] for k in range(len(constant)))
        maps.append(total.detach().numpy())
    return ours("full-grad", network.view(), form="signed"), np.stack(maps)


def _attention(token: bool) -> tuple[Special, list[Floats]]:
    """Return a network of attention, and its attention ``[N, heads, T, T]`` layer by layer."""
    network = NETWORKS["class token" if token else "mean of tokens"]()
    assert isinstance(network, Special)
    return network, [one.detach().numpy() for one in network.body.attend(torch.tensor(network.x))[1]]


@held("rollout", authors("samiraabnar/attention_flow", "3e53e4c"), "the row of the class token")
def rollout_of_the_paper() -> Pair:
    network, layers = _attention(token=True)
    maps = []
    for n in range(len(network.x)):
        joint = np.eye(layers[0].shape[-1])
        for layer in layers:
            mean = sum(layer[n]) / len(layer[n])
            mixed = mean + np.eye(len(mean))
            mixed = np.array([row / sum(row) for row in mixed])
            joint = mixed @ joint
        maps.append(joint[0, 1:].reshape(network.grid))
    return ours("rollout", network.view()), np.stack(maps)


def _vit_explain(fuse: str, ratio: float) -> Pair:
    """Image by image: theirs divides columns by the sums of rows, and keeps the first entry."""
    network, layers = _attention(token=True)
    maps = []
    for n in range(len(network.x)):
        result = np.eye(layers[0].shape[-1])
        for layer in layers:
            fused = getattr(layer[n], fuse)(axis=0)
            order = sorted(range(fused.size), key=lambda at: fused.flat[at])
            for at in order[: int(fused.size * ratio)]:
                if at != 0:
                    fused.flat[at] = 0
            mixed = (fused + np.eye(len(fused))) / 2
            sums = [sum(row) for row in mixed]
            for i, j in np.ndindex(*mixed.shape):
                mixed[i, j] /= sums[j]
            result = mixed @ result
        maps.append(result[0, 1:].reshape(network.grid))
    return ours("rollout", network.view(), form="vit-explain", heads=fuse, discard_ratio=ratio), np.stack(maps)


VIT_EXPLAIN = others("jacobgil/vit-explain", "1d68f22")


@held("rollout", VIT_EXPLAIN, "form=vit-explain, heads=max, discard_ratio=0.9, before they divide by the maximum")
def rollout_of_vit_explain() -> Pair:
    return _vit_explain("max", 0.9)


@held("rollout", VIT_EXPLAIN, "form=vit-explain, heads=min, before they divide by the maximum")
def rollout_of_vit_explain_of_weakest_heads() -> Pair:
    return _vit_explain("min", 0.0)


@held("le-grad", authors("WalBouss/LeGrad", "8c2ca90"), "one layer of attention, where both have one score")
def le_grad() -> Pair:
    torch.manual_seed(4)
    body = Transformer(token=False)
    body.reads = body.reads[:1]
    body = body.double().eval()
    network = Special(nn.Identity(), body, _images(7), (1, 4, 2), body=body, grid=(4, 3))
    maps = []
    for x, target in zip(network.x, network.targets, strict=True):
        logits, (attention,) = body.attend(torch.tensor(x)[None])
        (g,) = torch.autograd.grad(logits[0, target], attention)
        maps.append(g[0].clamp(min=0).mean(dim=0).mean(dim=0).numpy().reshape(network.grid))
    return ours("le-grad", network.view()), np.stack(maps)
