"""Methods that propagate relevance, on exported files, against their authors' public code, written again in torch.

Each was read at the commit that it names; nothing of it is copied but the formula. The networks are chains of
convolutions and pools, as VGG is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import nn

from onnxcam.methods.registry import method
from tests.helpers.exported import explained, exported
from tests.networks.special import Special, _images
from tests.oracles.agreement import Pair, authors, held, others

TOLERANCE = 1e-4
TARGETS = (1, 4, 2)
Rule = Callable[[Any, Any, Any], Any]


@cache
def network() -> Special:
    """Return convolutions and pools of both kinds, without biases, which these codes treat in ways of their own."""
    torch.manual_seed(10)
    parts = [
        *(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 5, 3, padding=1, bias=False), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(5, 6, 3, padding=1, bias=False), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5, bias=False)),
    ]
    body = nn.Sequential(*parts).double().eval()
    return Special(body[:8], body[8:], 6 * _images(10, (12, 8)), TARGETS, body=body)


def values(x: Any) -> list[Any]:
    """Return what each module reads, and the last result."""
    found = [x]
    for module in network().body:
        found.append(module(found[-1]).detach())
    return found


def safe(r: Any, z: Any) -> Any:
    """Return a quotient, 0 where it divides by 0."""
    return torch.where(z == 0, 0.0, r / torch.where(z == 0, 1.0, z))


def shares(function: Callable[[Any], Any], x: Any, r: Any) -> Any:
    """Return ``x`` times the derivative of a function at ``x``, weighted with relevance over the function's value."""
    x = x.detach().requires_grad_()
    z = function(x)
    (slope,) = torch.autograd.grad(z, x, safe(r, z.detach()))
    return (x * slope).detach()


def weighted_by(module: Any, x: Any, weight: Any) -> Any:
    """Return a linear module's value with other weights and no bias."""
    return nn.functional.conv2d(x, weight, padding=1) if isinstance(module, nn.Conv2d) else x @ weight.T


def positive(module: Any, x: Any, r: Any) -> Any:
    """Positive inputs by positive weights and negative by negative, together."""
    w = module.weight.detach()
    halves = [(x.clamp(min=0), w.clamp(min=0)), (x.clamp(max=0), w.clamp(max=0))]
    ratio = safe(r, sum(weighted_by(module, one, weight) for one, weight in halves))
    return sum(one * _transposed(module, one, weight, ratio) for one, weight in halves)


def bounded(module: Any, x: Any, r: Any, low: Any = None, high: Any = None) -> Any:
    """The rule for values between two bounds, by default the smallest and largest of the image."""
    w = module.weight.detach()
    low = torch.full_like(x, x.min() if low is None else low)
    high = torch.full_like(x, x.max() if high is None else high)
    parts = [(x, w, 1), (low, w.clamp(min=0), -1), (high, w.clamp(max=0), -1)]
    ratio = safe(r, sum(sign * weighted_by(module, one, weight) for one, weight, sign in parts))
    return sum(sign * one * _transposed(module, one, weight, ratio) for one, weight, sign in parts)


def _transposed(module: Any, like: Any, weight: Any, ratio: Any) -> Any:
    x = torch.zeros_like(like).requires_grad_()
    (found,) = torch.autograd.grad(weighted_by(module, x, weight), x, ratio)
    return found


def down(x: Any, r: Any, start: int, end: int, first: Rule) -> Any:
    """Return relevance of what module ``end`` reads, from that of what module ``start - 1`` gives."""
    read = values(x)
    for at in reversed(range(end, start)):
        module, value = network().body[at], read[at]
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            r = (first if at == 0 else positive)(module, value, r)
        elif isinstance(module, (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)):
            r = shares(module, value.clamp(min=0), r)
        elif isinstance(module, nn.Flatten):
            r = r.reshape(value.shape)
    return r


def file_maps(name: str, shape: tuple[int, ...] | None, **fields: Any) -> Any:
    path = exported("relevance-chain", network().body, (3, 12, 8))
    return explained(path, method(name, **fields), network().x, TARGETS, shape)


def each(function: Callable[[Any, int], Any]) -> Any:
    """Return what a function makes of each image and its target."""
    pairs = zip(network().x, TARGETS, strict=True)
    return np.stack([function(torch.tensor(x)[None], target).detach().numpy() for x, target in pairs])


def _terms(x: Any, target: int) -> Any:
    """Return each channel of the last layer times its mean gradient."""
    a = network().body[:8](x).detach().requires_grad_()
    (g,) = torch.autograd.grad(network().body[8:](a)[0, target], a)
    return (g.mean(dim=(2, 3), keepdim=True) * a).detach()


FG_CAM = authors("dongmo-qcq/FG-CAM", "96d76d5")


@held("fg-cam", FG_CAM, "down to the input", TOLERANCE)
def fg_cam() -> Pair:
    wanted = each(lambda x, target: down(x, _terms(x, target), 8, 0, bounded)[0].sum(dim=0))
    return file_maps("fg-cam", (6, 3, 2)), wanted


@held("fg-cam", FG_CAM, "denoise=True, down to the input; they keep no component of fewer than ten channels", TOLERANCE)
def fg_cam_denoised() -> Pair:
    """The largest singular value alone, which is what a tenth amounts to from ten channels on."""

    def theirs(x: Any, target: int) -> Any:
        terms = _terms(x, target)
        rows = terms[0].flatten(1)
        u, s, v = torch.linalg.svd(rows - rows.mean(dim=1, keepdim=True), full_matrices=False)
        kept = (u[:, :1] * s[:1]) @ v[:1]
        return down(x, kept.reshape(terms.shape), 8, 0, bounded)[0].sum(dim=0)

    return file_maps("fg-cam", (6, 3, 2), denoise=True), each(theirs)


@held("relevance-cam", authors("mongeoroo/Relevance-CAM", "b428bc1"), "at an early layer", TOLERANCE)
def relevance_cam() -> Pair:
    def theirs(x: Any, target: int) -> Any:
        seed = torch.full((1, 5), -1 / 5, dtype=torch.float64)
        seed[0, target] = 1
        r = down(x, seed, 11, 2, bounded)
        a = values(x)[2]
        return (r.mean(dim=(2, 3), keepdim=True) * a).sum(dim=1)[0]

    return file_maps("relevance-cam", (4, 12, 8)), each(theirs)


BETWEEN = {
    "rules": [
        {"at": "first conv", "rule": "box", "low": -1.0, "high": 1.0, "stabilizer": 0.0, "bias": False},
        {"at": "any", "rule": "z-plus", "stabilizer": 0.0, "bias": False},
    ],
    "stabilizer": 0.0,
}
SGLRP = ("uchidalab/softmaxgradient-lrp", "16acbd1")


def _less(x: Any, of_class: Any, of_others: Any) -> Any:
    """Return relevance of the class less that of the others, scaled to the same sum."""
    rule = partial(bounded, low=-1.0, high=1.0)
    one, other = (down(x, seed, 11, 0, rule)[0] for seed in (of_class, of_others))
    return (one - other * one.sum() / other.sum()).sum(dim=0)


@held("sglrp", authors(*SGLRP), "rules of its own: z+, and bounds of -1 and 1 at the input", TOLERANCE)
def sglrp() -> Pair:
    def theirs(x: Any, target: int) -> Any:
        p = torch.softmax(values(x)[-1], dim=1)
        others = p * p[0, target]
        others[0, target] = 0
        alone = torch.zeros_like(p)
        alone[0, target] = p[0, target] * (1 - p[0, target]) + 1e-8
        return _less(x, alone, others)

    return file_maps("sglrp", None, composite=BETWEEN), each(theirs)


@held("clrp", others(*SGLRP), "rules of its own: z+, and bounds of -1 and 1 at the input", TOLERANCE)
def clrp() -> Pair:
    def theirs(x: Any, target: int) -> Any:
        y = values(x)[-1]
        others = torch.full_like(y, float(y[0, target]) / (y.shape[1] - 1))
        others[0, target] = 0
        alone = torch.zeros_like(y)
        alone[0, target] = y[0, target]
        return _less(x, alone, others)

    return file_maps("clrp", None, composite=BETWEEN), each(theirs)
