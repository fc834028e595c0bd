"""How maps of pytorch-grad-cam and torch-cam differ from ours; where they are equal, see test_agreement.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from onnxcam.methods.registry import method
from tests.helpers.method_samples import assert_agree
from tests.networks.torch_view import Array, TorchView
from tests.oracles.held.masking import TARGETS, Case, case, grad_cam_weights, torch_cam_map, weigh

TOLERANCE = 1e-4


def assert_same(ours: Array, theirs: Array) -> None:
    for found, wanted in zip(ours, theirs, strict=True):
        assert_agree(found, wanted, TOLERANCE)
        with pytest.raises(AssertionError):
            assert_agree(1.001 * found, wanted, TOLERANCE)


def test_ablation_of_activations_of_both_signs_differs_from_pytorch_grad_cam() -> None:
    """It puts the minimum minus ten million in place of 0, and later minima include values replaced before."""
    found = case(activation=False)
    assert found.view.a.min() < 0
    ours = method("ablation-cam", normalise=True).explain(found.view)
    each, all_at_once = (grad_cam_weights("AblationCAM", found, batch_size=size) for size in (1, 32))
    assert np.abs(each - all_at_once).max() > 1e-2 * np.abs(each).max(), "its maps depend on its batch size"
    assert np.abs(weigh(each, found.view.a)).max() > 1000 * np.abs(ours).max()


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


def test_the_straight_path_of_is_cam_is_another_than_that_of_torch_cam() -> None:
    theirs = torch_cam_map("ISCAM", case())
    straight = method("is-cam", score="logit", normalise="softmax").explain(case().view)
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
