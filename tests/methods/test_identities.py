"""Closed forms that maps must meet exactly, on heads small enough to write by hand. All in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from onnxcam.methods.formulas.cam import CAM
from onnxcam.methods.formulas.grad_cam import GradCAM
from onnxcam.methods.formulas.grad_cam_plus_plus import GradCAMPlusPlus
from onnxcam.methods.formulas.hires_cam import HiResCAM
from onnxcam.methods.formulas.layer_cam import LayerCAM
from onnxcam.methods.formulas.xgrad_cam import XGradCAM
from tests.helpers.method_samples import assert_agree
from tests.networks.heads import POSITIONS, SHAPE, Head, activations, flattened, pooled, relu_mlp

if TYPE_CHECKING:
    from tests.oracles.registry import Floats

SPACE = (1, 2)
TOLERANCE = 1e-12
XGRAD = XGradCAM(eps=0.0)  # its eps bends the identities by about 1e-7

every_seed = pytest.mark.parametrize("seed", range(5))


def total(cam: Floats) -> Floats:
    return np.asarray(cam.sum(axis=SPACE))


def heads(seed: int) -> dict[str, Head]:
    return {"pooled": pooled(seed)[0], "flattened": flattened(seed), "relu mlp": relu_mlp(seed)}


@every_seed
def test_gradients_of_the_heads_are_right(seed: int) -> None:
    a = activations(seed)
    step = 1e-6 * np.random.default_rng(seed + 100).normal(size=SHAPE)
    for name, head in heads(seed).items():
        difference = (head.score(a + step) - head.score(a - step)) / 2e-6
        slope = (head.gradient(a) * step).sum(axis=(1, 2, 3)) / 1e-6
        np.testing.assert_allclose(difference, slope, rtol=1e-6, atol=1e-7, err_msg=name)


@every_seed
def test_before_pooling_and_a_linear_layer_the_cam_family_is_one_map(seed: int) -> None:
    """``CAM`` (Zhou et al. 2016, eq. 2) is ``H W`` times Grad-CAM, as Selvaraju et al. 2017 derive, and the others."""
    a, (head, w) = activations(seed), pooled(seed)
    g = head.gradient(a)
    by_hand = (w * a).sum(axis=1)
    assert_agree(CAM()(a, g), by_hand, TOLERANCE)
    for method in (GradCAM(), HiResCAM(), XGRAD):
        assert_agree(POSITIONS * method(a, g), by_hand, TOLERANCE)


@every_seed
def test_before_one_linear_layer_a_map_sums_to_the_logit_without_bias(seed: int) -> None:
    """HiResCAM is the logit position by position (Draelos & Carin 2021, eq. 4); XGrad-CAM: the axiom Conservation."""
    a = activations(seed)
    for head in (pooled(seed)[0], flattened(seed)):
        for method in (HiResCAM(), XGRAD):
            assert_agree(total(method(a, head.gradient(a))) + head.bias, head.score(a), TOLERANCE)


@every_seed
def test_grad_cam_does_not_sum_to_the_logit_on_a_flatten_head(seed: int) -> None:
    """The averaged gradient forgets where a weight is: why Draelos & Carin 2021 propose HiResCAM."""
    a, head = activations(seed), flattened(seed)
    missing = total(GradCAM()(a, head.gradient(a))) + head.bias - head.score(a)
    assert np.abs(missing).max() > 0.1


@every_seed
def test_xgrad_cam_and_hires_cam_have_the_same_sum_on_any_head(seed: int) -> None:
    """XGrad-CAM's weight ``sum(g_k A_k) / sum(A_k)`` (Fu et al. 2020) makes each channel's sum ``sum(g_k A_k)``."""
    a = activations(seed)
    assert (a.sum(axis=(2, 3)) != 0).all()
    for head in heads(seed).values():
        g = head.gradient(a)
        assert_agree(total(XGRAD(a, g)), total(HiResCAM()(a, g)), TOLERANCE)


@every_seed
def test_what_hires_cam_leaves_of_a_logit_is_the_share_of_later_biases(seed: int) -> None:
    """A piecewise linear head is its gradient times its input plus biases times theirs (Srinivas & Fleuret 2019)."""
    a, head = activations(seed), relu_mlp(seed)
    left = head.score(a) - total(HiResCAM()(a, head.gradient(a)))
    share = sum((slope * bias).sum(axis=1) for slope, bias in zip(head.unit_gradients(a), head.biases, strict=True))
    assert np.abs(share).min() > 1e-3
    assert_agree(left, share, TOLERANCE)


@every_seed
def test_xgrad_cam_meets_the_axiom_of_sensitivity_on_a_linear_head(seed: int) -> None:
    """Fu et al. 2020: a channel's part of the map sums to the drop of the score without that channel."""
    a = activations(seed)
    for head in (pooled(seed)[0], flattened(seed)):
        g = head.gradient(a)
        for k in range(SHAPE[1]):
            without = a.copy()
            without[:, k] = 0
            drop = head.score(a) - head.score(without)
            channel = slice(k, k + 1)
            assert_agree(total(XGRAD(a[:, channel], g[:, channel])), drop, TOLERANCE)


@every_seed
def test_grad_cam_plus_plus_has_a_closed_form_before_pooling(seed: int) -> None:
    """With the constant gradient ``w / HW`` in Chattopadhay et al. 2018, eq. 19: ``relu(w) / (2 + w mean(A))``."""
    a, (head, w) = activations(seed), pooled(seed)
    weights = np.maximum(w, 0) / (2 + w * a.mean(axis=(2, 3), keepdims=True))
    assert_agree(GradCAMPlusPlus()(a, head.gradient(a)), (weights * a).sum(axis=1), TOLERANCE)


@every_seed
def test_layer_cam_before_pooling_is_grad_cam_without_negative_weights(seed: int) -> None:
    """Its weights are the positive parts of the gradient (Jiang et al. 2021), here the same at all positions."""
    a, (head, w) = activations(seed), pooled(seed)
    g = head.gradient(a)
    kept = w[:, 0, 0] > 0
    assert 0 < kept.sum() < SHAPE[1]
    assert_agree(LayerCAM()(a, g), GradCAM()(a[:, kept], g[:, kept]), TOLERANCE)
