"""Maps of captum, pytorch-grad-cam and torch-cam on the same weights, and how they differ where they do."""

from __future__ import annotations

import copy
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from onnxcam.arrays import upsample
from onnxcam.methods.registry import method, wrap
from tests.helpers import torch_shim  # noqa: F401 - before anything that imports torchvision
from tests.helpers.method_samples import assert_agree
from tests.networks.special import Special
from tests.networks.table import NETWORKS
from tests.networks.torch_view import Array, TorchView

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # whatever their many dependencies warn of on import
    import captum.attr
    import pytorch_grad_cam
    import torchcam.methods as torchcam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

TOLERANCE = 1e-4
TARGETS = [1, 4, 2]


def assert_same(found: Array, wanted: Array) -> None:
    """Compare image by image, and check that a map scaled by 1.001 is noticed."""
    for ours, theirs in zip(found, np.asarray(wanted), strict=True):
        assert_agree(ours, theirs, TOLERANCE)
        with pytest.raises(AssertionError):
            assert_agree(1.001 * ours, theirs, TOLERANCE)


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
    whole = network()
    return TorchView(whole[:depth], head or whole[depth:], images().numpy(), TARGETS)


class Layered(TorchView):
    def layers(self) -> Any:
        return [view(depth) for depth in (3, 2, 1)]


def layered() -> Layered:
    return Layered(network()[:3], network()[3:], images().numpy(), TARGETS)


def targets() -> list[Any]:
    return [ClassifierOutputTarget(target) for target in TARGETS]


def over_range(maps: Array) -> Array:
    low, high = (bound(maps, axis=(1, 2), keepdims=True) for bound in (np.min, np.max))
    return np.asarray((maps - low) / (high - low))


def enlarged(maps: Array) -> Array:
    """Return what pytorch-grad-cam makes of a layer's raw map: positive part, minimum 0, maximum 1, larger."""
    return upsample(over_range(np.maximum(maps, 0)), (24, 20))


def scaled(maps: Array) -> Array:
    """Return what it shows: scaled once more."""
    return over_range(enlarged(maps))


@pytest.mark.parametrize(("rule", "theirs"), [("gauss-legendre", "gausslegendre"), ("midpoint", "riemann_middle")])
@pytest.mark.parametrize("baseline", [0.0, -0.7])
def test_integrated_gradients_equal_captum(rule: str, theirs: str, baseline: float) -> None:
    whole = TorchView(torch.nn.Identity(), network(), images().numpy(), TARGETS)
    peer = captum.attr.IntegratedGradients(network())
    wanted = peer.attribute(images(), baselines=baseline, target=TARGETS, n_steps=20, method=theirs).sum(dim=1)
    sample = method("integrated-gradients", steps=20, baseline=baseline, rule=rule)
    assert_same(sample.explain(whole), wanted.detach().numpy())
    if (rule, baseline) == ("gauss-legendre", 0.0):
        default = captum.attr.IntegratedGradients(network()).attribute(images(), target=TARGETS).sum(dim=1)
        assert_same(method("integrated-gradients").explain(whole), default.detach().numpy())


def test_shapley_cam_equals_pytorch_grad_cam() -> None:
    with pytorch_grad_cam.ShapleyCAM(network(), [network()[2]]) as cam:
        wanted = cam(images(), targets())
    found = view()
    assert_same(scaled(method("shapley-cam").explain(found)), wanted)
    assert abs(scaled(method("grad-cam").explain(found)) - wanted).max() > 0.01  # second derivatives matter here


def test_full_grad_equals_pytorch_grad_cam() -> None:
    x = np.random.default_rng(3).normal(size=(3, 3, 24, 20))
    body = copy.deepcopy(NETWORKS["biased"]().head)
    with torch.no_grad():
        body.last.weight *= 1e5
    with pytorch_grad_cam.FullGrad(body, []) as cam:
        wanted = cam(torch.tensor(x), targets())
    ours = Special(torch.nn.Identity(), body, x, tuple(TARGETS), body=body).view()
    assert_same(over_range(method("full-grad").explain(ours)), wanted)


def contrast(count: int, alpha: float) -> Any:
    """Return a head whose logit of each class is the difference of scores that Finer-CAM explains."""

    def head(a: Any) -> Any:
        logits = network()[3:](a)
        order = [[np.argsort(abs(row - row[c])) for c in range(5)] for row in logits.detach().numpy()]
        pairs = zip(logits, order, strict=True)
        return torch.stack(
            [
                torch.stack([row[c] - alpha * row[near[c][1 : count + 1]].mean() for c in range(5)])
                for row, near in pairs
            ]
        )

    return head


def test_finer_cam_equals_torch_cam_and_with_one_class_pytorch_grad_cam() -> None:
    whole = network()
    ours = method("finer-cam").explain(view(head=contrast(3, 0.6)))
    with torchcam.FinerCAM(whole, whole[2]) as cam:
        (wanted,) = cam(TARGETS, whole(images()), normalized=False)
    assert_same(np.maximum(ours, 0), wanted)

    best = whole(images()).argmax(dim=1).tolist()  # the only class that it explains by itself
    found = TorchView(whole[:3], contrast(1, 1.0), images().numpy(), best)
    with pytorch_grad_cam.FinerCAM(whole, [whole[2]]) as cam:
        shown = cam(images(), comparison_categories=[1])
        weighted = cam(images())
    assert_same(scaled(method("finer-cam", alpha=1.0, count=1).explain(found)), shown)
    # With three it weights them by probability, and differentiates the weights too.
    three = TorchView(whole[:3], contrast(3, 1.0), images().numpy(), best)
    assert abs(scaled(method("finer-cam", alpha=1.0).explain(three)) - weighted).max() > 0.01


def test_refine_cam_equals_torch_cam() -> None:
    whole = network()
    with torchcam.RefineCAM(whole, [whole[2], whole[1], whole[0]], base_method=torchcam.LayerCAM) as cam:
        (wanted,) = cam(TARGETS, whole(images()), normalized=False)
    assert_same(method("refine-cam", base="layer-cam").explain(layered()), wanted)


def test_fusion_of_layer_cam_equals_torch_cam_where_minima_are_zero() -> None:
    """Torch-cam applies tanh to every layer, as ``shallow=3``, but subtracts each map's minimum first."""
    whole = network()
    with torchcam.LayerCAM(whole, [whole[2], whole[1], whole[0]]) as cam:
        wanted = cam.fuse_cams(cam(TARGETS, whole(images())))
    maps = [method("layer-cam").explain(one) for one in layered().layers()]
    assert_same(np.max([upsample(np.tanh(2 * over_range(one)), (24, 20)) for one in maps], axis=0), wanted)
    ours = wrap("fuse", method("layer-cam"), how="max", shallow=3).explain(layered())
    kept = [one / one.max(axis=(1, 2), keepdims=True) for one in maps]
    assert_same(ours, np.max([upsample(np.tanh(2 * one), (24, 20)) for one in kept], axis=0))


def test_smooth_grad_cam_plus_plus_differs_from_torch_cam_by_two_terms() -> None:
    """Its alpha sums activation times cube where the paper multiplies sums, and it uses the last copy's gradient."""
    whole, found = network(), view()
    noise = np.random.default_rng(0).standard_normal((4, 3, 24, 20))
    with torchcam.SmoothGradCAMpp(whole, whole[2], input_shape=(3, 24, 20)) as cam:
        draws = iter(0.3 * noise)
        cam._distrib = type("Same", (), {"sample": lambda _, size: torch.tensor(next(draws)).expand(size)})()
        whole(images())
        theirs = cam._get_weights(TARGETS)[0].numpy()
    slopes = [found.with_images(found.x + 0.3 * one).g for one in noise]
    squares, cubes = (np.mean([g**power for g in slopes], axis=0) for power in (2, 3))
    shared = (found.a * cubes).sum(axis=(2, 3), keepdims=True)
    assert_same((squares / (2 * squares + shared + 1e-8) * np.maximum(slopes[-1], 0)).sum(axis=(2, 3)), theirs)
    # With these two corrected, it equals ours.
    right = 2 * squares + found.a.sum(axis=(2, 3), keepdims=True) * cubes
    safe = np.where(right == 0, 1, right)
    alpha = np.where(right == 0, 0, squares / safe)
    weights = (alpha * np.maximum(np.mean(slopes, axis=0), 0)).sum(axis=(2, 3), keepdims=True)
    assert_same(method("smooth-grad-cam++").explain(found), (weights * found.a).sum(axis=1))
    assert abs(weights[..., 0, 0] - theirs).max() > 0.01 * abs(theirs).max()


@pytest.mark.parametrize(("name", "theirs"), [("grad-cam", "GradCAM"), ("hires-cam", "HiResCAM")])
def test_principal_equals_eigen_smooth_up_to_sign(name: str, theirs: str) -> None:
    found = view()
    with getattr(pytorch_grad_cam, theirs)(network(), [network()[2]]) as cam:
        wanted = cam.get_cam_image(images(), network()[2], targets(), found.a, found.g, True)
    ours = wrap("principal", method(name)).explain(found)
    # The sign there is whatever its decomposition returns.
    assert_same(np.sign((ours * wanted).sum(axis=(1, 2), keepdims=True)) * ours, wanted)


def test_augment_differs_from_aug_smooth_by_averaging_raw_maps() -> None:
    """There each map is scaled to [0, 1] before the mean, so that a weak one counts as much as a strong one."""
    found = view()
    with pytorch_grad_cam.GradCAM(network(), [network()[2]]) as cam:
        wanted = cam(images(), targets(), aug_smooth=True)
    each = []
    for way in (1, -1):
        for factor in (0.9, 1.0, 1.1):
            one = found.with_images(np.ascontiguousarray(np.multiply(factor, found.x[..., ::way])))
            each.append(scaled(method("grad-cam").explain(one))[..., ::way])
    assert_same(np.mean(each, axis=0), wanted)
    ours = wrap("augment", method("grad-cam")).explain(found)
    assert abs(scaled(ours) - scaled(wanted)).max() > 1e-3


def test_mean_of_layers_subtracts_no_minimum() -> None:
    """Pytorch-grad-cam averages scaled maps; here a position that is 0 in all maps stays 0 in their mean."""
    whole = network()
    with pytorch_grad_cam.GradCAM(whole, [whole[2], whole[1], whole[0]]) as cam:
        wanted = cam(images(), targets())
    each = [method("grad-cam").explain(one) for one in layered().layers()]
    assert_same(over_range(np.mean([enlarged(one) for one in each], axis=0)), wanted)
    ours = wrap("fuse", method("grad-cam")).explain(layered())
    parts = [np.maximum(one, 0) / one.max(axis=(1, 2), keepdims=True) for one in each]
    assert_agree(ours, np.mean([upsample(part, (24, 20)) for part in parts], axis=0), 1e-12)
