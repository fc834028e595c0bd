"""Closed forms and limits of the methods that hide parts of the image or the layer. All in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from onnxcam.methods.base import Method
from onnxcam.methods.cam import CAM
from onnxcam.methods.display import upsample
from onnxcam.methods.grad_cam import GradCAM
from onnxcam.methods.registry import method
from onnxcam.methods.xgrad_cam import XGradCAM
from tests.methods.networks import NETWORKS, Floats, Network
from tests.methods.samples import assert_agree
from tests.methods.torch_probe import TorchProbe

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
def probe(pooled: Network) -> TorchProbe:
    return pooled.probe()


def last_layer(network: Network) -> tuple[Floats, Floats]:
    """Return weights ``[N, K]`` and bias ``[N]`` of the explained classes."""
    linear = network.head[-1]
    weight, bias = (value.detach().numpy()[list(network.targets)] for value in (linear.weight, linear.bias))
    return weight, bias


def drops(probe: TorchProbe) -> Floats:
    """Return how far the score falls without each channel, ``[N, K]``."""
    keep = 1 - np.eye(probe.a.shape[1])[:, :, None, None]
    return np.stack([score - probe.head(i, keep) for i, score in enumerate(probe.score)])


def test_5_drops_behind_a_linear_head_are_the_sums_of_xgrad_cam(probe: TorchProbe) -> None:
    weights = drops(probe)
    xgrad = XGradCAM(eps=0.0)
    for k in range(probe.a.shape[1]):
        channel = slice(k, k + 1)
        assert_agree(xgrad(probe.a[:, channel], probe.g[:, channel]).sum(axis=(1, 2)), weights[:, k], TOLERANCE)
    assert_agree(method("ablation-cam").explain(probe), np.einsum("nk,nk...->n...", weights, probe.a), TOLERANCE)


def test_6_drops_behind_pooling_are_weights_times_means(pooled: Network, probe: TorchProbe) -> None:
    w, _ = last_layer(pooled)
    by_hand = np.einsum("nk,nk...->n...", w * probe.a.mean(axis=(2, 3)), probe.a)
    for exact in (True, False):
        assert_agree(method("ablation-cam", closed_form=exact).explain(probe), by_hand, TOLERANCE)


def test_9_recipro_cam_behind_pooling_is_cam_over_places_plus_bias(pooled: Network, probe: TorchProbe) -> None:
    _, bias = last_layer(pooled)
    cam = CAM()(probe.a, probe.g)
    by_hand = cam / cam[0].size + bias[:, None, None]
    for exact in (True, False):
        assert_agree(method("recipro-cam", closed_form=exact).explain(probe), by_hand, TOLERANCE)


@pytest.mark.parametrize("sample", EXACT, ids=repr)
def test_a_closed_form_is_the_general_path_without_runs(sample: Method, probe: TorchProbe) -> None:
    exact = sample.explain(probe)
    assert probe.runs == 0
    fields = sample.describe()
    assert_agree(method(**{**fields, "closed_form": False}).explain(probe), exact, TOLERANCE)
    assert probe.runs > 0


def test_lift_cam_weights_sum_to_the_change_of_the_score() -> None:
    """Where all channels hold one map, Lift-CAM is that map times the sum of its weights."""
    network = NETWORKS["curved"]()
    trunk = torch.nn.Sequential(network.trunk, Alike())
    probe = TorchProbe(trunk, network.head, network.x, network.targets)
    blank = np.array([network.behind(i, np.zeros_like(a)) for i, a in enumerate(probe.a)])
    found = method("lift-cam").explain(probe)
    assert_agree(found, (probe.score - blank)[:, None, None] * probe.a[:, 0], 1e-10)


class Alike(torch.nn.Module):  # type: ignore[misc]
    def forward(self, x: Any) -> Any:
        return x[:, :1].expand(x.shape)


def test_lift_cam_behind_a_linear_head_is_ablation_cam(probe: TorchProbe) -> None:
    assert_agree(method("lift-cam").explain(probe), method("ablation-cam").explain(probe), TOLERANCE)


@pytest.mark.parametrize(("sample", "limit"), WITHOUT_NOISE, ids=repr)
def test_variants_of_score_cam_tend_to_it(sample: Method, limit: str) -> None:
    for name in ("curved", "line"):
        probe = NETWORKS[name]().probe()
        assert_agree(sample.explain(probe), method(limit).explain(probe), TOLERANCE)


def test_one_group_of_group_cam_is_grad_cam_scaled() -> None:
    network = NETWORKS["curved"]()
    probe = network.probe()
    found = method("group-cam", groups=1, percentile=0.0, weights="signed", kernel=5).explain(probe)
    cam = np.maximum(GradCAM()(probe.a, probe.g), 0)
    cam[cam <= cam.min(axis=(1, 2), keepdims=True)] = 0
    for ours, theirs in zip(upsample(found, (10, 8)), upsample(cam, (10, 8)), strict=True):
        assert abs(ours).max() > 0
        factor = (ours.max() - ours.min()) / (theirs.max() - theirs.min())
        agree = ours / factor if abs(ours.max()) > abs(ours.min()) else -ours / factor
        assert_agree(agree, theirs - theirs.min(), 1e-10)


def test_rise_with_everything_shown_is_the_probability_everywhere(probe: TorchProbe) -> None:
    found = method("rise", count=5, keep=1.0, centred=False).explain(probe)
    assert_agree(found, np.broadcast_to(probe.probability()[:, None, None], found.shape), TOLERANCE)
    assert abs(method("rise", count=5, keep=1.0).explain(probe)).max() < TOLERANCE


def test_masks_of_rise_show_each_place_as_often() -> None:
    """Of a network that answers 1 whatever it sees, the map is the mean mask over ``keep``: 1 everywhere."""

    class Sure(TorchProbe):
        def masked(self, sample: int, masks: Floats, *_: object, **__: object) -> Floats:
            return np.ones(len(masks))

    network = NETWORKS["pooled"]()
    probe = Sure(network.trunk, network.head, network.x, network.targets)
    for keep in (0.3, 0.5):
        found = method("rise", keep=keep, grid=4, centred=False).explain(probe)
        assert abs(found - 1).max() < 0.12  # four standard deviations of a mean of 4000
        assert abs(found.mean() - 1) < 0.03
