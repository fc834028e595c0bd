"""Methods of gradients against captum, pytorch-grad-cam and torch-cam, on one network of three stages."""

from __future__ import annotations

import copy
import warnings
from functools import cache
from typing import Any

import numpy as np
import torch

from onnxcam.arrays import upsample
from onnxcam.methods.registry import method
from tests.helpers import torch_shim  # noqa: F401 - before anything that imports torchvision
from tests.networks.special import Special
from tests.networks.table import NETWORKS
from tests.networks.torch_view import Array, TorchView
from tests.oracles.agreement import Pair, authors, held, library, ours, wrapped

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # whatever their many dependencies warn of on import
    import captum.attr
    import pytorch_grad_cam
    import torchcam.methods as torchcam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

CAPTUM, GRAD_CAM, TORCH_CAM = (library(name) for name in ("captum", "grad-cam", "torchcam"))
TARGETS = [1, 4, 2]


@cache
def network() -> Any:
    """Three stages and a nonlinear head; gradients are large compared with the constants that peers add."""
    torch.manual_seed(2)
    nn = torch.nn
    parts = [
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(8, 8, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)),
    ]
    with torch.no_grad():
        parts[-1][-1].weight *= 100
    return nn.Sequential(*parts).double().eval()


def images() -> Any:
    return torch.tensor(2 * np.random.default_rng(8).normal(size=(3, 3, 24, 20)))


def view(depth: int = 3, head: Any = None) -> TorchView:
    """Return a view of the network at the end of one of its stages."""
    whole = network()
    return TorchView(whole[:depth], head or whole[depth:], images().numpy(), TARGETS)


def at_input() -> TorchView:
    return TorchView(torch.nn.Identity(), network(), images().numpy(), TARGETS)


class Layered(TorchView):
    """A view of the last stage that also offers all three."""

    def layers(self) -> Any:
        return [view(depth) for depth in (3, 2, 1)]


def layered() -> Layered:
    return Layered(network()[:3], network()[3:], images().numpy(), TARGETS)


def targets() -> list[Any]:
    return [ClassifierOutputTarget(target) for target in TARGETS]


def over_range(maps: Array) -> Array:
    """Return maps scaled to minimum 0 and maximum 1."""
    low, high = (bound(maps, axis=(1, 2), keepdims=True) for bound in (np.min, np.max))
    return np.asarray((maps - low) / (high - low))


def enlarged(maps: Array) -> Array:
    """Return what pytorch-grad-cam makes of a layer's raw map: positive part, minimum 0, maximum 1, larger."""
    return upsample(over_range(np.maximum(maps, 0)), (24, 20))


def scaled(maps: Array) -> Array:
    """Return what it shows: scaled once more."""
    return over_range(enlarged(maps))


def summed(attributed: Any) -> Array:
    """Return captum's attribution summed over the input's channels."""
    return np.asarray(attributed.sum(dim=1).detach().numpy())


@held("gradient", CAPTUM, "`Saliency`, its largest channel")
def saliency() -> Pair:
    return ours("gradient", at_input()), captum.attr.Saliency(network()).attribute(
        images().requires_grad_(), target=TARGETS
    ).amax(dim=1).numpy()


@held("gradient-x-input", CAPTUM, "`InputXGradient`, summed over channels")
def input_x_gradient() -> Pair:
    peer = captum.attr.InputXGradient(network())
    return ours("gradient-x-input", at_input()), summed(peer.attribute(images().requires_grad_(), target=TARGETS))


@held("integrated-gradients", CAPTUM, "`IntegratedGradients`, summed over channels")
def integrated_gradients() -> Pair:
    peer = captum.attr.IntegratedGradients(network())
    return ours("integrated-gradients", at_input()), summed(peer.attribute(images(), target=TARGETS))


@held("integrated-gradients", CAPTUM, "rule=midpoint, steps=20, baseline=-0.7")
def integrated_gradients_from_grey() -> Pair:
    peer = captum.attr.IntegratedGradients(network())
    options = {"baselines": -0.7, "n_steps": 20, "method": "riemann_middle"}
    found = ours("integrated-gradients", at_input(), rule="midpoint", steps=20, baseline=-0.7)
    return found, summed(peer.attribute(images(), target=TARGETS, **options))


@held("smooth-grad", authors("PAIR-code/saliency", "47ad220"), "reduce=sum; with our noise and `magnitude=False`")
def smooth_grad() -> Pair:
    """Noise of a share of the image's range; gradients added up one copy after the other."""
    x, maps = images().numpy(), []
    for image, target in zip(x, TARGETS, strict=True):
        draw, total = np.random.default_rng(0), np.zeros(x.shape[2:])
        deviation = 0.15 * (image.max() - image.min())
        for _ in range(25):
            noisy = torch.tensor(image + deviation * draw.standard_normal(image.shape))[None].requires_grad_()
            (slope,) = torch.autograd.grad(network()(noisy)[0, target], noisy)
            total += slope[0].sum(dim=0).numpy()
        maps.append(total / 25)
    return ours("smooth-grad", at_input(), n=25, sigma=0.15, reduce="sum"), np.stack(maps)


@held("shapley-cam", GRAD_CAM, "the map it shows", 1e-4)
def shapley_cam() -> Pair:
    with pytorch_grad_cam.ShapleyCAM(network(), [network()[2]]) as cam:
        return scaled(ours("shapley-cam", view())), cam(images(), targets())


@held("full-grad", GRAD_CAM, "the map it shows", 1e-4)
def full_grad() -> Pair:
    x = np.random.default_rng(3).normal(size=(3, 3, 24, 20))
    body = copy.deepcopy(NETWORKS["biased"]().head)
    with torch.no_grad():
        body.last.weight *= 1e5
    with pytorch_grad_cam.FullGrad(body, []) as cam:
        wanted = cam(torch.tensor(x), targets())
    mine = Special(torch.nn.Identity(), body, x, tuple(TARGETS), body=body).view()
    return over_range(ours("full-grad", mine)), wanted


def nearest_plain(logits: Any, c: int, count: int, alpha: float) -> Any:
    """Return a logit less a share of the mean of its nearest."""
    near = np.argsort(abs(logits - logits[c]).detach().numpy(), kind="stable")
    return logits[c] - alpha * logits[near[1 : count + 1]].mean()


def contrast(count: int, alpha: float, of: Any = nearest_plain) -> Any:
    """Return a head whose logit of each class is the difference of scores that Finer-CAM explains."""

    def head(a: Any) -> Any:
        return torch.stack([torch.stack([of(row, c, count, alpha) for c in range(5)]) for row in network()[3:](a)])

    return head


@held("finer-cam", TORCH_CAM, "the positive part", 1e-4)
def finer_cam() -> Pair:
    whole = network()
    with torchcam.FinerCAM(whole, whole[2]) as cam:
        (wanted,) = cam(TARGETS, whole(images()), normalized=False)
    return np.maximum(ours("finer-cam", view(head=contrast(3, 0.6))), 0), wanted


@held("refine-cam", TORCH_CAM, "base=layer-cam", 1e-4)
def refine_cam() -> Pair:
    whole = network()
    with torchcam.RefineCAM(whole, [whole[2], whole[1], whole[0]], base_method=torchcam.LayerCAM) as cam:
        (wanted,) = cam(TARGETS, whole(images()), normalized=False)
    return ours("refine-cam", layered(), base="layer-cam"), wanted


@held("principal", GRAD_CAM, "`eigen_smooth` of HiResCAM, up to its arbitrary sign", 1e-4)
def principal() -> Pair:
    return principal_of("hires-cam", "HiResCAM")


def principal_of(name: str, theirs: str) -> tuple[Array, Array]:
    found = view()
    with getattr(pytorch_grad_cam, theirs)(network(), [network()[2]]) as cam:
        wanted = cam.get_cam_image(images(), network()[2], targets(), found.a, found.g, True)
    mine = wrapped("principal", method(name), found)
    return np.sign((mine * wanted).sum(axis=(1, 2), keepdims=True)) * mine, wanted
