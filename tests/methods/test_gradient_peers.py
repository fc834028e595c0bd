"""How maps of captum, pytorch-grad-cam and torch-cam differ from ours; where they are equal, see test_agreement.py."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from onnxcam.arrays import upsample
from onnxcam.methods.registry import method, wrap
from tests.helpers.method_samples import assert_agree
from tests.networks.torch_view import Array, TorchView
from tests.oracles.held.gradients import (
    contrast,
    enlarged,
    images,
    layered,
    network,
    over_range,
    principal_of,
    scaled,
    targets,
    view,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # whatever their many dependencies warn of on import
    import pytorch_grad_cam
    import torchcam.methods as torchcam

TOLERANCE = 1e-4
TARGETS = [1, 4, 2]


def assert_same(found: Array, wanted: Array) -> None:
    """Compare image by image, and check that a map scaled by 1.001 is noticed."""
    for ours, theirs in zip(found, np.asarray(wanted), strict=True):
        assert_agree(ours, theirs, TOLERANCE)
        with pytest.raises(AssertionError):
            assert_agree(1.001 * ours, theirs, TOLERANCE)


def test_second_derivatives_matter_here() -> None:
    with pytorch_grad_cam.ShapleyCAM(network(), [network()[2]]) as cam:
        wanted = cam(images(), targets())
    assert abs(scaled(method("grad-cam").explain(view())) - wanted).max() > 0.01


def test_finer_cam_of_one_class_equals_pytorch_grad_cam_and_of_three_with_its_weights() -> None:
    whole = network()
    best = whole(images()).argmax(dim=1).tolist()  # the only class that it explains by itself
    found = TorchView(whole[:3], contrast(1, 1.0), images().numpy(), best)
    with pytorch_grad_cam.FinerCAM(whole, [whole[2]]) as cam:
        shown = cam(images(), comparison_categories=[1])
        weighted = cam(images())
    assert_same(scaled(method("finer-cam", alpha=1.0, count=1).explain(found)), shown)
    # With three it weights them by probability, and differentiates the weights too.
    three = TorchView(whole[:3], contrast(3, 1.0), images().numpy(), best)
    assert abs(scaled(method("finer-cam", alpha=1.0).explain(three)) - weighted).max() > 0.01


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


def test_principal_equals_eigen_smooth_of_grad_cam_too() -> None:
    assert_same(*principal_of("grad-cam", "GradCAM"))


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
