"""Closed forms of methods that use a view: completeness, and maps that are equal on simple heads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from onnxcam.errors import InputError, UnsupportedError
from onnxcam.methods.formulas.eigen_cam import EigenCAM
from onnxcam.methods.formulas.full_grad import FullGrad, contributions
from onnxcam.methods.formulas.grad_cam import GradCAM
from onnxcam.methods.formulas.kpca_cam import KPCACAM
from onnxcam.methods.needs import Contrast
from onnxcam.methods.registry import method
from onnxcam.methods.view import Attention, NetworkView
from tests.helpers.method_samples import assert_agree, fixed_pair
from tests.networks.special import Special, SpecialView
from tests.networks.table import NETWORKS


def view_of(name: str) -> Any:
    return NETWORKS[name]().view()


def total(maps: Any) -> Any:
    return np.asarray(maps.reshape(len(maps), -1).sum(axis=1))


def test_shapley_cam_on_a_linear_head_equals_grad_cam() -> None:
    """Where the score is linear in the layer its second derivative is 0, and Cai's 2025 weight is the mean gradient."""
    view = view_of("pooled")
    for affine in (True, False):  # declared, and computed
        view.affine = affine
        assert_agree(method("shapley-cam").explain(view), GradCAM()(view.a, view.g), 1e-12)
    view = view_of("curved")
    with pytest.raises(AssertionError):
        assert_agree(method("shapley-cam").explain(view), GradCAM()(view.a, view.g), 1e-3)


@pytest.mark.parametrize(("rule", "tolerance"), [("gauss-legendre", 2e-3), ("midpoint", 2e-3)])
@pytest.mark.parametrize("baseline", [0.0, 0.5])
def test_integrated_gradients_sum_to_the_difference_of_scores(rule: str, tolerance: float, baseline: float) -> None:
    view = view_of("input")
    added = view.score - view.with_images(np.full_like(view.x, baseline)).score
    for steps, factor in ((50, 10.0), (400, 1.0)):  # more steps come closer
        found = total(method("integrated-gradients", rule=rule, baseline=baseline, steps=steps).explain(view))
        assert_agree(found, added, factor * tolerance)
    with pytest.raises(AssertionError):
        assert_agree(1.01 * found, added, tolerance)


def test_integrated_gradients_of_a_linear_score_equal_gradient_times_input() -> None:
    linear = _linear().view()
    for rule in ("gauss-legendre", "midpoint"):
        found = method("integrated-gradients", steps=1, rule=rule).explain(linear)
        assert_agree(found, method("gradient-x-input").explain(linear), 1e-12)
        assert_agree(total(found), linear.score, 1e-12)


def _linear() -> Special:
    torch.manual_seed(1)
    body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 5, bias=False)).double()
    return Special(torch.nn.Identity(), body, NETWORKS["input"]().x, (1, 4, 2), body=body)


def test_terms_of_full_grad_sum_to_the_score() -> None:
    """Of a piecewise linear network the terms of input and biases sum to the score (Srinivas & Fleuret 2019)."""
    view = view_of("biased")
    shares = contributions(view)
    assert [share.ndim for share in shares] == [4, 4, 4, 4, 1]
    assert_agree(sum(total(share) for share in shares), view.score, 1e-12)
    for k in range(len(shares)):  # each of them contributes
        assert abs(total(shares[k])).min() > 1e-4


def test_signed_map_of_full_grad_sums_to_all_terms_with_positions() -> None:
    view = view_of("biased")
    signed = FullGrad("signed").explain(view)
    assert_agree(total(signed) + total(contributions(view)[-1]), view.score, 1e-12)


def test_kernel_pca_with_a_linear_kernel_equals_eigen_cam() -> None:
    a, _ = fixed_pair(shape=(2, 5, 6, 7))
    assert_agree(KPCACAM("linear")(a), EigenCAM()(a), 1e-9)


def test_kernel_pca_refuses_too_many_positions() -> None:
    with pytest.raises(UnsupportedError, match=r"at most 4096 positions, and this layer has 4225; .* or eigen-cam$"):
        KPCACAM()(np.zeros((1, 2, 65, 65)))


def test_nan_in_one_image_does_not_affect_kernel_pca_of_the_others() -> None:
    a, _ = fixed_pair(shape=(3, 4, 5, 5))
    sound = KPCACAM()(a)
    a[1, 2, 3, 3] = np.nan
    found = KPCACAM()(a)
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[[0, 2]], sound[[0, 2]])


def test_the_value_of_largest_magnitude_in_seg_eigen_cam_is_positive() -> None:
    for seed in range(20):
        found = method("seg-eigen-cam")(*fixed_pair(seed))  # type: ignore[operator]
        assert (found.max(axis=(1, 2)) > -found.min(axis=(1, 2))).all()


def test_rollout_sums_to_one_with_the_class_tokens_own_share() -> None:
    """Rows of attention sum to 1; the map leaves out the class token's attention to itself."""
    with_token, without = method("rollout").explain(view_of("class token")), view_of("mean of tokens")
    assert (total(with_token) < 1).all()
    assert (total(with_token) > 0.3).all()
    assert_agree(total(method("rollout").explain(without)), np.ones(3), 1e-12)


class Windows(SpecialView):
    """Attention within windows: more samples than images, or fewer tokens from layer to layer."""

    shapes: tuple[tuple[int, ...], ...] = ()

    def attentions(self) -> list[Attention]:
        return [Attention(np.ones(shape), np.ones(shape)) for shape in self.shapes]


@pytest.mark.parametrize("name", ["rollout", "le-grad"])
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((3, 2, 9, 9), (3, 2, 4, 4)), "attend within windows or at several sizes (4, 9 tokens)"),
        (((12, 2, 9, 9), (12, 2, 9, 9)), "attend within windows or at several sizes (9 tokens)"),
        (((3, 2, 9, 4),), "attend within windows or at several sizes (4 tokens)"),
        ((), "needs attention, and this network has none"),
    ],
)
def test_attention_over_different_tokens_is_refused(name: str, shapes: Any, message: str) -> None:
    network = NETWORKS["class token"]()
    assert isinstance(network, Special)
    view = Windows(network, network.x, network.targets)
    view.shapes = shapes
    with pytest.raises(UnsupportedError) as caught:
        method(name).explain(view)
    assert message in str(caught.value)
    assert str(caught.value).startswith(name)
    assert str(caught.value).endswith("use grad-cam, hires-cam or gradient-x-input")


def test_finer_cam_is_its_base_applied_to_a_difference_of_scores() -> None:
    view: NetworkView = view_of("curved")
    sample = method("finer-cam", base="hires-cam", count=2, alpha=0.5)
    assert sample.needs.contrast == Contrast(2, 0.5)
    assert sample.needs.gradient
    assert_agree(sample.explain(view), method("hires-cam").explain(view), 0)
    inside = method("finer-cam", base=method("grad-cam++", eps=1e-6))
    assert method(**inside.describe()) == inside
    assert inside.describe()["base"] == {"name": "grad-cam++", "eps": 1e-6}


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        (
            "finer-cam",
            {"base": "eigen-cam"},
            "finer-cam cannot take eigen-cam, which is class-agnostic; choose another method inside",
        ),
        (
            "finer-cam",
            {"base": "finer-cam"},
            "finer-cam cannot take finer-cam, which compares classes itself; choose another method inside",
        ),
        ("finer-cam", {"count": 0}, "field count of finer-cam is 0; it must be at least 1"),
        (
            "refine-cam",
            {"base": "gradient"},
            "refine-cam cannot take gradient, which does not explain at a layer; choose another method inside",
        ),
        (
            "refine-cam",
            {"base": "rollout"},
            "refine-cam cannot take rollout, which does not explain at a layer; choose another method inside",
        ),
        (
            "refine-cam",
            {"base": "refine-cam"},
            "refine-cam cannot take refine-cam, which combines layers itself; choose another method inside",
        ),
        (
            "refine-cam",
            {"base": "cam"},
            "refine-cam cannot take cam, which applies to one layer only; choose another method inside",
        ),
        ("refine-cam", {"layers": ()}, "field layers of refine-cam is empty; name layers, such as -1,-2,-3"),
        ("smooth-grad", {"n": 0}, "field n of smooth-grad is 0; it must be at least 1"),
        ("integrated-gradients", {"steps": 0}, "field steps of integrated-gradients is 0; it must be at least 1"),
        ("rollout", {"discard_ratio": 1.0}, "field discard_ratio of rollout is 1.0; it must be from 0 to below 1"),
    ],
)
def test_wrong_fields_are_refused(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        method(name, **fields)
    assert str(caught.value) == message
