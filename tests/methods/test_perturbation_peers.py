"""Maps of pytorch-grad-cam and torch-cam on the same weights; where they differ from ours, how.

Score-CAM is compared at a layer of the input's size, since the three enlarge maps in three ways.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from onnxcam.methods.registry import method
from tests.helpers import torch_shim  # noqa: F401 - before anything that imports torchvision
from tests.helpers.method_samples import assert_agree
from tests.networks.torch_view import Array, TorchView

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # whatever their many dependencies warn of on import
    import pytorch_grad_cam
    import torchcam.methods as torchcam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

TOLERANCE = 1e-4
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


def assert_same(ours: Array, theirs: Array) -> None:
    for found, wanted in zip(ours, theirs, strict=True):
        assert_agree(found, wanted, TOLERANCE)
        with pytest.raises(AssertionError):
            assert_agree(1.001 * found, wanted, TOLERANCE)


def test_ablation_of_nonnegative_activations_equals_pytorch_grad_cam() -> None:
    found = case(pool=True)
    assert found.view.a.min() == 0
    ours = method("ablation-cam", normalise=True).explain(found.view)
    assert_same(ours, weigh(grad_cam_weights("AblationCAM", found), found.view.a))


def test_ablation_of_activations_of_both_signs_differs_from_pytorch_grad_cam() -> None:
    """It puts the minimum minus ten million in place of 0, and later minima include values replaced before."""
    found = case(activation=False)
    assert found.view.a.min() < 0
    ours = method("ablation-cam", normalise=True).explain(found.view)
    each, all_at_once = (grad_cam_weights("AblationCAM", found, batch_size=size) for size in (1, 32))
    assert np.abs(each - all_at_once).max() > 1e-2 * np.abs(each).max(), "its maps depend on its batch size"
    assert np.abs(weigh(each, found.view.a)).max() > 1000 * np.abs(ours).max()


def test_score_cam_of_logits_with_softmax_equals_pytorch_grad_cam() -> None:
    found = case()
    ours = method("score-cam", score="logit", normalise="softmax").explain(found.view)
    assert_same(ours, weigh(grad_cam_weights("ScoreCAM", found), found.view.a))


def test_score_cam_at_a_smaller_layer_differs_because_pytorch_grad_cam_aligns_corners() -> None:
    found = case(pool=True)
    ours = method("score-cam", score="logit", normalise="softmax").explain(found.view)
    theirs = weigh(grad_cam_weights("ScoreCAM", found), found.view.a)
    assert np.abs(ours - theirs).max() > 1e-3 * np.abs(ours).max()


def test_score_cam_of_pytorch_grad_cam_gives_a_dead_channel_a_weight() -> None:
    found = case()
    trunk = torch.nn.Sequential(*found.trunk, _Kill(2))
    dead = Case(trunk, found.head, TorchView(trunk, found.head, found.view.x, TARGETS))
    theirs = grad_cam_weights("ScoreCAM", dead)
    assert (theirs[:, 2] > 0.01).all()
    ours = method("score-cam", score="logit", normalise="softmax").explain(dead.view)
    assert_same(ours, weigh(theirs / (1 - theirs[:, 2:3]), dead.view.a))


def test_score_cam_of_logits_with_softmax_equals_torch_cam() -> None:
    found = case()
    ours = method("score-cam", score="logit", normalise="softmax").explain(found.view)
    assert_same(ours, torch_cam_map("ScoreCAM", found))


def test_ss_cam_of_logits_with_softmax_equals_torch_cam() -> None:
    found = case()
    ours = method("ss-cam", score="logit", normalise="softmax", count=6).explain(found.view)
    assert_same(ours, torch_cam_map("SSCAM", found, num_samples=6))


def test_is_cam_of_logits_with_softmax_on_the_cumulative_path_equals_torch_cam() -> None:
    found = case()
    theirs = torch_cam_map("ISCAM", found)
    ours = method("is-cam", score="logit", normalise="softmax", path="cumulative").explain(found.view)
    assert_same(ours, theirs)
    straight = method("is-cam", score="logit", normalise="softmax").explain(found.view)
    assert np.abs(straight - theirs).max() > 1e-2 * np.abs(theirs).max()


class _Kill(torch.nn.Module):  # type: ignore[misc]
    """Makes one channel 0."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = channel

    def forward(self, x: Any) -> Any:
        keep = torch.ones(x.shape[1], dtype=x.dtype)
        keep[self.channel] = 0
        return x * keep[:, None, None]
