"""Closed forms and limits of the methods that mask the image or ablate the layer. All in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from onnxcam.arrays import upsample
from onnxcam.methods.base import Method
from onnxcam.methods.formulas.cam import CAM
from onnxcam.methods.formulas.grad_cam import GradCAM
from onnxcam.methods.formulas.xgrad_cam import XGradCAM
from onnxcam.methods.registry import method
from tests.helpers.method_samples import assert_agree
from tests.networks.small import Floats, Network
from tests.networks.table import NETWORKS
from tests.networks.torch_view import TorchView

TOLERANCE = 1e-12

EXACT = (method("ablation-cam"), method("ablation-cam", normalise=True), method("recipro-cam"))
WITHOUT_NOISE = (
    (method("ss-cam", sigma=0.0, count=2), "score-cam"),
    (method("ss-cam", sigma=0.0, count=2, noise="image"), "score-cam"),
    (method("is-cam", count=1), "score-cam"),
    (method("is-cam", count=1, path="cumulative"), "score-cam"),
    (method("gscore-cam"), "score-cam"),
)


@pytest.fixture
def pooled() -> Network:
    return NETWORKS["pooled"]()


@pytest.fixture
def view(pooled: Network) -> TorchView:
    return pooled.view()


def last_layer(network: Network) -> tuple[Floats, Floats]:
    """Return weights ``[N, K]`` and bias ``[N]`` of the explained classes."""
    linear = network.head[-1]
    weight, bias = (value.detach().numpy()[list(network.targets)] for value in (linear.weight, linear.bias))
    return weight, bias


def drops(view: TorchView) -> Floats:
    """Return how far the score falls without each channel, ``[N, K]``."""
    keep = 1 - np.eye(view.a.shape[1])[:, :, None, None]
    return np.stack([score - view.ablated(i, keep) for i, score in enumerate(view.score)])


def test_drops_on_a_linear_head_are_the_channel_sums_of_xgrad_cam(view: TorchView) -> None:
    """The axiom Sensitivity (Fu et al. 2020) gives Ablation-CAM's weights (Desai & Ramaswamy 2020, eq. 4, times S)."""
    weights = drops(view)
    xgrad = XGradCAM(eps=0.0)
    for k in range(view.a.shape[1]):
        channel = slice(k, k + 1)
        assert_agree(xgrad(view.a[:, channel], view.g[:, channel]).sum(axis=(1, 2)), weights[:, k], TOLERANCE)
    assert_agree(method("ablation-cam").explain(view), np.einsum("nk,nk...->n...", weights, view.a), TOLERANCE)


def test_drops_before_pooling_are_weights_times_channel_means(pooled: Network, view: TorchView) -> None:
    """Desai & Ramaswamy 2020, eq. 4, times S: without channel ``k`` a linear head loses ``w_k mean(A_k)``."""
    w, _ = last_layer(pooled)
    by_hand = np.einsum("nk,nk...->n...", w * view.a.mean(axis=(2, 3)), view.a)
    for exact in (True, False):
        assert_agree(method("ablation-cam", closed_form=exact).explain(view), by_hand, TOLERANCE)


def test_recipro_cam_before_pooling_is_cam_over_positions_plus_bias(pooled: Network, view: TorchView) -> None:
    """One position kept (Byun & Lee 2024) leaves CAM's term (Zhou et al. 2016, eq. 2), averaged over all positions."""
    _, bias = last_layer(pooled)
    cam = CAM()(view.a, view.g)
    by_hand = cam / cam[0].size + bias[:, None, None]
    for exact in (True, False):
        assert_agree(method("recipro-cam", closed_form=exact).explain(view), by_hand, TOLERANCE)


@pytest.mark.parametrize("sample", EXACT, ids=repr)
def test_a_closed_form_equals_the_general_path_without_runs(sample: Method, view: TorchView) -> None:
    exact = sample.explain(view)
    assert view.runs == 0
    fields = sample.describe()
    assert_agree(method(**{**fields, "closed_form": False}).explain(view), exact, TOLERANCE)
    assert view.runs > 0


def test_lift_cam_weights_sum_to_the_change_of_the_score() -> None:
    """Where all channels are equal, LIFT-CAM is that channel times the sum of its weights."""
    network = NETWORKS["curved"]()
    trunk = torch.nn.Sequential(network.trunk, RepeatFirstChannel())
    view = TorchView(trunk, network.head, network.x, network.targets)
    blank = np.array([network.of_layer(i, np.zeros_like(a)) for i, a in enumerate(view.a)])
    found = method("lift-cam").explain(view)
    assert_agree(found, (view.score - blank)[:, None, None] * view.a[:, 0], 1e-10)


class RepeatFirstChannel(torch.nn.Module):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        return x[:, :1].expand(x.shape)


def test_lift_cam_on_a_linear_head_equals_ablation_cam(view: TorchView) -> None:
    assert_agree(method("lift-cam").explain(view), method("ablation-cam").explain(view), TOLERANCE)


@pytest.mark.parametrize(("sample", "limit"), WITHOUT_NOISE, ids=repr)
def test_variants_of_score_cam_without_noise_or_path_equal_it(sample: Method, limit: str) -> None:
    for name in ("curved", "line"):
        view = NETWORKS[name]().view()
        assert_agree(sample.explain(view), method(limit).explain(view), TOLERANCE)


def test_one_group_of_group_cam_is_grad_cam_scaled() -> None:
    network = NETWORKS["curved"]()
    view = network.view()
    found = method("group-cam", groups=1, percentile=0.0, weights="signed", kernel=5).explain(view)
    cam = np.maximum(GradCAM()(view.a, view.g), 0)
    cam[cam <= cam.min(axis=(1, 2), keepdims=True)] = 0
    for ours, theirs in zip(upsample(found, (10, 8)), upsample(cam, (10, 8)), strict=True):
        assert abs(ours).max() > 0
        factor = (ours.max() - ours.min()) / (theirs.max() - theirs.min())
        agree = ours / factor if abs(ours.max()) > abs(ours.min()) else -ours / factor
        assert_agree(agree, theirs - theirs.min(), 1e-10)


def test_rise_with_full_masks_is_the_probability_everywhere(view: TorchView) -> None:
    found = method("rise", count=5, keep=1.0, centred=False).explain(view)
    assert_agree(found, np.broadcast_to(view.probability()[:, None, None], found.shape), TOLERANCE)
    assert abs(method("rise", count=5, keep=1.0).explain(view)).max() < TOLERANCE


def test_masks_of_rise_keep_each_position_equally_often() -> None:
    """Of a network that always returns 1, the map is the mean mask divided by ``keep``: 1 everywhere."""

    class ConstantView(TorchView):
        def masked_image(self, sample: int, masks: Floats, *_: object, **__: object) -> Floats:
            return np.ones(len(masks))

    network = NETWORKS["pooled"]()
    view = ConstantView(network.trunk, network.head, network.x, network.targets)
    for keep in (0.3, 0.5):
        found = method("rise", keep=keep, grid=4, centred=False).explain(view)
        assert abs(found - 1).max() < 0.12  # four standard deviations of a mean of 4000
        assert abs(found.mean() - 1) < 0.03
