"""Methods of masks and of single positions against their authors' public code, written again in loops.

Each was read at the commit that it names; nothing of it is copied but the formula. In float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from onnxcam.methods.support.display import display
from tests.networks.small import Network
from tests.networks.table import NETWORKS
from tests.oracles.agreement import Pair, authors, held, ours
from tests.oracles.held.gradients import over_range
from tests.oracles.held.masking import TARGETS, case
from tests.oracles.registry import Floats

SCORE_CAM = authors("haofanwang/Score-CAM", "80326cb")
SS_CAM = authors("r0cketr1kky/SS-CAM", "198775f")
RECIPRO_CAM = authors("sybyun/ReciproCAM", "460aec6")
# Enough channels for three groups, and a blur that suits small images.
FEW: dict[str, Any] = {"groups": 3, "kernel": 5, "sigma": 1.5}


def wide(channel: Floats, size: tuple[int, ...]) -> Floats:
    """Return a channel at the image's size, as torch enlarges it."""
    return np.asarray(interpolate(torch.tensor(channel)[None, None], size, mode="bilinear")[0, 0])


def all_wide(maps: Floats, network: Network) -> Floats:
    return np.stack([wide(one, network.x.shape[2:]) for one in maps])


def each_image(function: Callable[[Network, int], Floats], predicted: bool = False) -> tuple[Network, Floats]:
    """Return a network with a nonlinear head, and what a function makes of each of its images.

    The predicted classes are explained if that is asked for: their probability falls where the image is blurred.
    """
    network = NETWORKS["curved"]()
    if predicted:
        logits = network.head(network.trunk(torch.tensor(network.x)))
        network = replace(network, targets=tuple(logits.argmax(dim=1).tolist()))
    return network, np.stack([function(network, image) for image in range(len(network.targets))])


def shown(maps: Floats, network: Network) -> Floats:
    """Return display maps that are enlarged before they are rectified, with minimum 0, as these authors show them."""
    return over_range(display(maps, network.x.shape[2:], enlarged_first=True)[0].astype(np.float64))


@held("score-cam", SCORE_CAM, "the raw map, enlarged")
def score_cam() -> Pair:
    network, theirs = each_image(_score_cam)
    return all_wide(ours("score-cam", network.view()), network), theirs


@held("score-cam", SCORE_CAM, "rectify=after, minimum subtracted: the map it shows")
def score_cam_shown() -> Pair:
    """At activations of both signs, where the order of enlarging and rectifying matters."""
    made = case(activation=False, pool=True)
    network = Network(made.trunk, made.head, np.asarray(made.view.x, np.float64), TARGETS)
    theirs = np.stack([_score_cam(network, image) for image in range(len(TARGETS))])
    return shown(ours("score-cam", network.view(), rectify="after"), network), over_range(np.maximum(theirs, 0))


def _score_cam(network: Network, image: int) -> Floats:
    x, total = network.x[image], np.zeros(network.x.shape[2:])
    for channel in network.activations(image):
        one = wide(channel, x.shape[1:])
        if one.max() != one.min():
            scaled = (one - one.min()) / (one.max() - one.min())
            total += network.of(image, x * scaled, True) * one
    return total


@held("ss-cam", SS_CAM, "deviation=authors, count=5, with our noise; the raw map, enlarged")
def ss_cam_in_masks() -> Pair:
    return _ss_cam("mask", _noisy_mask)


@held("ss-cam", SS_CAM, "deviation=authors, noise=image, count=5, with our noise; the raw map, enlarged")
def ss_cam_in_images() -> Pair:
    return _ss_cam("image", _noisy_image)


def _ss_cam(noise: str, seen: Callable[[Floats, Floats, Any], Floats]) -> Pair:
    def theirs(network: Network, image: int) -> Floats:
        x, total = network.x[image], np.zeros(network.x.shape[2:])
        for channel in network.activations(image):
            one = wide(channel, x.shape[1:])
            if one.max() != one.min():
                draw = np.random.default_rng(0)
                scores = [network.of(image, seen(x, one, draw), True) for _ in range(5)]
                total += sum(scores) / len(scores) * one
        return total

    network, wanted = each_image(theirs)
    return all_wide(ours("ss-cam", network.view(), deviation="authors", noise=noise, count=5), network), wanted


def _noisy_mask(x: Floats, one: Floats, draw: Any) -> Floats:
    sigma = 2 / (one.max() - one.min())
    return np.asarray(x * (one + draw.normal(0, sigma**2, one.shape)))


def _noisy_image(x: Floats, one: Floats, draw: Any) -> Floats:
    masked = x * ((one - one.min()) / (one.max() - one.min()))
    sigma = 2 / (masked.max() - masked.min())
    return np.asarray(masked + draw.normal(0, sigma**2, x.shape))


def _blurred(x: Floats) -> Floats:
    """Return an image blurred as torch convolves it, mirrored at the edge."""
    kernel, sigma = FEW["kernel"], FEW["sigma"]
    bell = np.exp(-((np.arange(kernel) - kernel // 2) ** 2) / (2 * sigma**2))
    weight = torch.tensor(np.outer(bell, bell) / bell.sum() ** 2).expand(len(x), 1, kernel, kernel)
    padded = torch.nn.functional.pad(torch.tensor(x)[None], [kernel // 2] * 4, mode="reflect")
    return np.asarray(torch.conv2d(padded, weight, groups=len(x))[0])


def _groups(network: Network, image: int) -> list[Floats]:
    """Return the rectified sums of weighted channels, group by group: two channels each."""
    a, g = network.activations(image), network.slopes(image)
    weights = [float(slope.sum()) / slope.size for slope in g]
    return [np.maximum(weights[at] * a[at] + weights[at + 1] * a[at + 1], 0) for at in range(0, len(a), 2)]


@held("group-cam", authors("wofmanaf/Group-CAM", "0b61fdd"), "weights=signed, minimum subtracted: the map it shows")
def group_cam() -> Pair:
    def theirs(network: Network, image: int) -> Floats:
        x, total = network.x[image], np.zeros(network.x.shape[2:])
        blurred = _blurred(x)
        before = network.of(image, blurred, True)
        for one in _groups(network, image):
            kept = wide(np.where(one > np.percentile(one, 70), one, 0), x.shape[1:])
            if kept.max() != kept.min():
                mask = (kept - kept.min()) / (kept.max() - kept.min())
                total += (network.of(image, x * mask + blurred * (1 - mask), True) - before) * mask
        return np.maximum(total, 0)

    network, wanted = each_image(theirs, predicted=True)
    return shown(ours("group-cam", network.view(), weights="signed", **FEW), network), over_range(wanted)


@held("group-cam", authors("wofmanaf/Group-CAM", "a7290b5"), "percentile=0, sums=unscaled; the raw map, enlarged")
def group_cam_later() -> Pair:
    def theirs(network: Network, image: int) -> Floats:
        x, total = network.x[image], np.zeros(network.x.shape[2:])
        blurred = _blurred(x)
        before = network.of(image, blurred, True)
        for one in _groups(network, image):
            large = wide(one, x.shape[1:])
            if large.max() == large.min():
                continue  # theirs divides by 0 here
            mask = (large - large.min()) / (large.max() - large.min())
            total += max(network.of(image, x * mask + blurred * (1 - mask), True) - before, 0) * large
        return total

    network, wanted = each_image(theirs, predicted=True)
    return all_wide(ours("group-cam", network.view(), percentile=0.0, sums="unscaled", **FEW), network), wanted


@held("gscore-cam", authors("anguyen8/gScoreCAM", "e8ee538"), "score=logit, count=3, before their softmax", 1e-4)
def gscore_cam() -> Pair:
    """At a layer of the image's size, since theirs aligns corners; it adds 1e-6 to each range."""
    network = Network(case().trunk, case().head, np.asarray(case().view.x, np.float64), TARGETS)
    maps = []
    for image, x in enumerate(network.x):
        a, g = network.activations(image), network.slopes(image)
        total = np.zeros(a.shape[1:])
        for k in np.argsort(-g.mean(axis=(1, 2)))[:3]:
            mask = (a[k] - a[k].min()) / (a[k].max() - a[k].min() + 1e-6)
            total += network.of(image, x * mask) * a[k]
        maps.append(total)
    return ours("gscore-cam", network.view(), score="logit", count=3), np.stack(maps)


@held("recipro-cam", RECIPRO_CAM, "score=probability, before they scale it")
def recipro_cam() -> Pair:
    return _recipro_cam("point", {(0, 0): 1.0})


@held("recipro-cam", RECIPRO_CAM, "score=probability, mask=spread, before they scale it: their `is_gaussian`")
def recipro_cam_spread() -> Pair:
    nine = {(i, j): 1 / 4 / 2 ** (abs(i) + abs(j)) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    return _recipro_cam("spread", nine)


def _recipro_cam(mask: str, shares: dict[tuple[int, int], float]) -> Pair:
    def theirs(network: Network, image: int) -> Floats:
        a = network.activations(image)
        rows, columns = a.shape[1:]
        found = np.zeros((rows, columns))
        for i, j in np.ndindex(rows, columns):
            alone = np.zeros_like(a)
            for (down, right), share in shares.items():
                if 0 <= i + down < rows and 0 <= j + right < columns:
                    alone[:, i + down, j + right] = share * a[:, i, j]
            found[i, j] = network.of_layer(image, alone, True)
        return found

    network, wanted = each_image(theirs)
    return ours("recipro-cam", network.view(), score="probability", mask=mask), wanted


@held("rise", authors("eclique/RISE", "d91ea00"), "centred=False, count=40, grid=3, with our masks")
def rise() -> Pair:
    def theirs(network: Network, image: int) -> Floats:
        x = network.x[image]
        size, keep, count, draw = x.shape[1:], 0.5, 40, np.random.default_rng(0)
        cells = [-(-length // 3) for length in size]
        grids = draw.random((count, 3, 3)) < keep
        shifts = draw.integers(0, cells, (count, 2))
        total = np.zeros(size)
        for grid, (down, right) in zip(grids, shifts, strict=True):
            large = wide(grid.astype(float), tuple(4 * cell for cell in cells))
            mask = large[down : down + size[0], right : right + size[1]]
            total += network.of(image, x * mask, True) * mask
        return np.asarray(total / count / keep)

    network, wanted = each_image(theirs)
    return ours("rise", network.view(), centred=False, count=40, grid=3), wanted
