"""Methods that propagate, or that ask for more than arrays, on exported files: captum, zennit and pytorch-grad-cam."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import torch

from onnxcam.methods.registry import method
from tests.helpers.exported import explained, exported
from tests.networks.special import Special
from tests.networks.table import NETWORKS
from tests.networks.torch_view import Array
from tests.oracles.agreement import Pair, authors, held, library
from tests.oracles.held import gradients

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # whatever their many dependencies warn of on import
    import captum.attr
    import pytorch_grad_cam
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus

CAPTUM, GRAD_CAM, ZENNIT = (library(name) for name in ("captum", "grad-cam", "zennit"))
TOLERANCE = 1e-4


@cache
def stages() -> tuple[Any, Any]:
    """Return the network of the gradient comparisons with ReLU in its head too, which captum has rules for."""
    torch.manual_seed(6)
    nn = torch.nn
    trunk = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU())
    head = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return trunk.double().eval(), head.double().eval()


def whole() -> Any:
    trunk, head = stages()
    return torch.nn.Sequential(*trunk, *head).eval()


def of_file(name: str, **fields: Any) -> Array:
    """Return our maps of the exported network, at the end of its trunk."""
    path = exported("stages", whole(), (3, 24, 20))
    made = method(name, **fields)
    shape = None if made.needs.at == "input" else (8, 12, 10)
    return explained(path, made, gradients.images().numpy(), gradients.TARGETS, shape)


def attributed(peer: str, *args: Any, **options: Any) -> Array:
    """Return captum's attribution at the input, summed over channels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it sets hooks
        made = getattr(captum.attr, peer)(whole(), *args)
        return gradients.summed(
            made.attribute(gradients.images().requires_grad_(), target=gradients.TARGETS, **options)
        )


@held("guided-backprop", CAPTUM, "`GuidedBackprop`, summed over channels", TOLERANCE)
def guided_backprop() -> Pair:
    return of_file("guided-backprop"), attributed("GuidedBackprop")


@held("guided-grad-cam", CAPTUM, "`GuidedGradCam`, summed over channels", TOLERANCE)
def guided_grad_cam() -> Pair:
    network = whole()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it sets hooks
        peer = captum.attr.GuidedGradCam(network, network[3])
        found = peer.attribute(gradients.images(), target=gradients.TARGETS, interpolate_mode="bilinear")
    return of_file("guided-grad-cam"), gradients.summed(found)


@held(
    "guided-xgrad-cam", GRAD_CAM, "`XGradCAM` there, rectified and enlarged, times captum's `GuidedBackprop`", TOLERANCE
)
def guided_xgrad_cam() -> Pair:
    network = whole()
    with pytorch_grad_cam.XGradCAM(network, [network[3]]) as cam:
        cam(gradients.images(), gradients.targets())
        a, g = (
            kept[0].numpy() for kept in (cam.activations_and_grads.activations, cam.activations_and_grads.gradients)
        )
        coarse = cam.get_cam_image(gradients.images(), network[3], gradients.targets(), a, g, False)
    rectified = torch.tensor(coarse)[:, None].relu()
    wide = torch.nn.functional.interpolate(rectified, (24, 20), mode="bilinear", align_corners=False)[:, 0].numpy()
    return of_file("guided-xgrad-cam"), wide * attributed("GuidedBackprop")


@held(
    "lift-cam", authors("Hyungsik-Jung/LIFT-CAM", "dcc8715"), "with the `DeepLift` of captum that it calls", TOLERANCE
)
@held("lift-cam", CAPTUM, "`DeepLift` of the part after the layer", TOLERANCE)
def lift_cam() -> Pair:
    trunk, head = stages()
    a = trunk(gradients.images()).detach()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it sets hooks
        shares = captum.attr.DeepLift(head).attribute(a, torch.zeros_like(a), target=gradients.TARGETS)
    weights = shares.detach().sum(dim=(2, 3), keepdim=True)
    return of_file("lift-cam"), (weights * a).sum(dim=1).numpy()


@held("lrp", ZENNIT, "composite=epsilon-plus", TOLERANCE)
def lrp() -> Pair:
    network, x = whole(), gradients.images()
    y = network(x).detach()
    seed = torch.zeros_like(y)
    rows = range(len(x))
    seed[rows, gradients.TARGETS] = y[rows, gradients.TARGETS]
    with Gradient(network, EpsilonPlus()) as attribute:
        wanted = attribute(x, seed)[1].sum(dim=1).numpy()
    return of_file("lrp", composite="epsilon-plus"), wanted


@held("finer-cam", GRAD_CAM, "alpha=1, weights=probability: the map it shows; the authors' contribution", TOLERANCE)
def finer_cam_of_the_authors() -> Pair:
    return finer_cam_weighted()


def finer_cam_weighted(alpha: float = 1.0) -> Pair:
    """Return our map of the predicted class, weighted by probability, and what pytorch-grad-cam shows."""
    network = gradients.network()
    x = gradients.images()
    best = network(x).argmax(dim=1).tolist()
    with pytorch_grad_cam.FinerCAM(network, [network[2]]) as cam:
        wanted = cam(x, alpha=alpha)
    path = exported("three-stages", network, (3, 24, 20))
    made = method("finer-cam", alpha=alpha, weights="probability")
    return gradients.scaled(explained(path, made, x.numpy(), best, (8, 6, 5))), wanted


@held("finer-cam", authors("Imageomics/Finer-CAM", "80c73ea"), "alpha=1, weights=probability", TOLERANCE)
def finer_cam_in_loops() -> Pair:
    """Grad-CAM of the difference weighted by probability, differentiated whole."""
    network, x = gradients.network(), gradients.images()
    best = network(x).argmax(dim=1).tolist()
    maps = []
    for image, c in zip(x, best, strict=True):
        a = network[:3](image[None]).detach().requires_grad_()
        logits = network[3:](a)[0]
        order = np.argsort(abs(logits - logits[c]).detach().numpy())[1:4]
        p = torch.softmax(logits, dim=0)
        target = sum(p[d] * (logits[c] - logits[d]) for d in order) / (sum(p[d] for d in order) + 1e-9)
        (g,) = torch.autograd.grad(target, a)
        maps.append((g.mean(dim=(2, 3), keepdim=True) * a).sum(dim=1)[0].detach().numpy())
    path = exported("three-stages", network, (3, 24, 20))
    made = method("finer-cam", alpha=1.0, weights="probability")
    return explained(path, made, x.numpy(), best, (8, 6, 5)), np.stack(maps)


def special(name: str) -> Special:
    found = NETWORKS[name]()
    assert isinstance(found, Special)
    return found
