"""Methods that mask the image or ablate the layer against pytorch-grad-cam and torch-cam, on the same weights.

Score-CAM is compared at a layer of the input's size, since the three enlarge maps in three ways.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from tests.helpers import torch_shim  # noqa: F401 - before anything that imports torchvision
from tests.networks.torch_view import Array, TorchView
from tests.oracles.agreement import Pair, held, library, ours

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # whatever their many dependencies warn of on import
    import pytorch_grad_cam
    import torchcam.methods as torchcam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

GRAD_CAM, TORCH_CAM = library("grad-cam"), library("torchcam")
LOGITS = "score=logit, normalise=softmax"
TARGETS = (1, 4, 2)


@dataclass(frozen=True)
class Case:
    """A network in two parts, and a view of it."""

    trunk: Any
    head: Any
    view: TorchView

    @property
    def whole(self) -> Any:
        return torch.nn.Sequential(*self.trunk, *self.head).eval()

    @property
    def images(self) -> Any:
        return torch.tensor(self.view.x)


@cache
def case(activation: bool = True, pool: bool = False) -> Case:
    """Return a network whose layer comes after a ReLU or not, at the input's size or half of it."""
    torch.manual_seed(4)
    nn = torch.nn
    trunk = [nn.Conv2d(3, 6, 3, padding=1), *([nn.ReLU()] if activation else []), *([nn.MaxPool2d(2)] if pool else [])]
    head = [nn.Conv2d(6, 8, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)]
    first, last = (nn.Sequential(*part).double().eval() for part in (trunk, head))
    x = 3 * np.random.default_rng(8).normal(size=(3, 3, 12, 10))
    return Case(first, last, TorchView(first, last, x, TARGETS))


def grad_cam_weights(name: str, found: Case, **options: Any) -> Array:
    """Return pytorch-grad-cam's weights of channels, ``[N, K]``."""
    network, layer = found.whole, found.trunk[-1]
    targets = [ClassifierOutputTarget(target) for target in TARGETS]
    with getattr(pytorch_grad_cam, name)(network, [layer]) as cam:
        for option, value in options.items():
            setattr(cam, option, value)
        activations = found.view.a.astype(np.float64)
        return np.asarray(cam.get_cam_weights(found.images, layer, targets, activations, None))


def torch_cam_map(name: str, found: Case, **options: Any) -> Array:
    """Return torch-cam's raw maps."""
    network, layer = found.whole, found.trunk[-1]
    with getattr(torchcam, name)(network, layer, input_shape=found.view.x.shape[1:], **options) as cam:
        if name == "SSCAM":
            cam._distrib = _SameNoise(cam.std, found.view.x.shape[2:])
        scores = network(found.images)
        (maps,) = cam(list(TARGETS), scores, normalized=False)
        return np.asarray(maps.numpy())


class _SameNoise:
    """Draws one set of noise for all channels and images, as ours does."""

    def __init__(self, std: float, size: tuple[int, ...]) -> None:
        self.std, self.size, self.draw = std, size, np.random.default_rng(0)

    def sample(self, size: Any) -> Any:
        return torch.tensor(self.std * self.draw.normal(0, 1, self.size)).expand(size)


def weigh(weights: Array, a: Array) -> Array:
    return np.asarray(np.einsum("nk,nkij->nij", weights, a))


def of_logits(name: str, **fields: Any) -> Array:
    """Return our maps with logits in place of probabilities, and a softmax over channels."""
    return ours(name, case().view, score="logit", normalise="softmax", **fields)


@held("ablation-cam", GRAD_CAM, "normalise=True, activations without negative values", 1e-4)
def ablation_cam() -> Pair:
    found = case(pool=True)
    assert found.view.a.min() == 0
    theirs = weigh(grad_cam_weights("AblationCAM", found), found.view.a)
    return ours("ablation-cam", found.view, normalise=True), theirs


@held("score-cam", GRAD_CAM, f"{LOGITS}, a layer of the image's size", 1e-4)
def score_cam() -> Pair:
    return of_logits("score-cam"), weigh(grad_cam_weights("ScoreCAM", case()), case().view.a)


@held("score-cam", TORCH_CAM, f"{LOGITS}, a layer of the image's size", 1e-4)
def score_cam_of_torch_cam() -> Pair:
    return of_logits("score-cam"), torch_cam_map("ScoreCAM", case())


@held("ss-cam", TORCH_CAM, f"{LOGITS}, count=6, with our noise", 1e-4)
def ss_cam() -> Pair:
    return of_logits("ss-cam", count=6), torch_cam_map("SSCAM", case(), num_samples=6)


@held("is-cam", TORCH_CAM, f"{LOGITS}, path=cumulative", 1e-4)
def is_cam() -> Pair:
    return of_logits("is-cam", path="cumulative"), torch_cam_map("ISCAM", case())
