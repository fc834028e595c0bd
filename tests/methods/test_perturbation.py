"""Methods that mask the image or ablate the layer: runs and gradients that they use, limits, and refused fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from onnxcam.errors import InputError
from onnxcam.methods.base import Method
from onnxcam.methods.registry import method
from onnxcam.methods.support.blur import gaussian_blur
from tests.helpers.method_samples import EVERY, assert_agree
from tests.networks.small import Network
from tests.networks.table import NETWORKS
from tests.networks.torch_view import TorchView

HEAD = ["ablation-cam", "recipro-cam", "lift-cam"]
NAMES = [*HEAD, "score-cam", "ss-cam", "is-cam", "group-cam", "gscore-cam", "rise"]
SAMPLES = [sample for sample in EVERY if sample.name in NAMES]

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=repr)


class RecordingView(TorchView):
    """Records reported progress, and raises where a gradient is used although there is none."""

    differentiable = True

    def steps(self, total: int) -> Iterator[int]:
        self.reported: list[int] = []
        for step in range(total):
            yield step
            self.reported.append(total)

    @property
    def g(self) -> Any:
        assert self.differentiable, "the network has no gradient"
        return self._g

    @g.setter
    def g(self, value: Any) -> None:
        self._g = value


def recording_view(network: Network) -> RecordingView:
    return RecordingView(network.trunk, network.head, network.x, network.targets, network.affine)


@every_sample
@pytest.mark.parametrize("name", ["pooled", "curved", "line"])
def test_keeps_float32(sample: Method, name: str) -> None:
    network = NETWORKS[name]()
    found = sample.explain(network.single().view())
    assert found.dtype == np.float32
    wanted = sample.explain(network.view())
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max() + 1e-6


@every_sample
def test_only_methods_that_declare_it_use_the_gradient(sample: Method) -> None:
    view = recording_view(NETWORKS["curved"]())
    wanted = sample.explain(view)
    view.differentiable = False
    if sample.needs.gradient:
        assert sample.name in ("lift-cam", "group-cam", "gscore-cam")
    else:
        np.testing.assert_array_equal(sample.explain(view), wanted)


@pytest.mark.parametrize("name", ["ss-cam", "rise"])
def test_another_seed_gives_another_map(name: str) -> None:
    view = NETWORKS["curved"]().view()
    first, second = (method(name, count=5, seed=seed).explain(view) for seed in (0, 1))
    assert np.abs(first - second).max() > 1e-3 * np.abs(first).max()


@pytest.mark.parametrize(
    ("name", "options", "units", "runs"),
    [
        ("ablation-cam", {}, 3, 18),
        ("recipro-cam", {}, 3, 60),
        ("score-cam", {}, 3, 18),
        ("score-cam", {"baseline": True}, 3, 21),
        ("ss-cam", {}, 3, 18 * 35),
        ("is-cam", {}, 3, 18 * 10),
        ("gscore-cam", {"count": 2}, 3, 6),
        ("group-cam", {"groups": 3, "percentile": 0.0}, 3, 9),  # in each image one group has no positive position
        ("rise", {"count": 70}, 9, 210),
    ],
)
def test_progress_is_reported_and_no_run_is_superfluous(
    name: str, options: dict[str, Any], units: int, runs: int
) -> None:
    view = recording_view(NETWORKS["curved"]())
    method(name, **options).explain(view)
    assert view.reported == [units] * units
    assert view.runs == runs


@pytest.mark.parametrize("options", [{}, {"normalise": "softmax"}, {"baseline": True}], ids=repr)
def test_a_constant_channel_is_not_run_and_has_weight_zero(options: dict[str, Any]) -> None:
    network = NETWORKS["curved"]()
    view = network.view()
    view.a = view.a.copy()
    view.a[1, 2] = 7.0  # with any weight, the map would rise everywhere
    found = method("score-cam", **options).explain(view)
    assert view.runs == 17 + (3 if options.get("baseline") else 0)
    view.a[1, 2] = 0.0
    assert_agree(found, method("score-cam", **options).explain(view), 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_of_zeros_gives_a_finite_map(name: str) -> None:
    network = NETWORKS["curved"]()
    view = network.view()
    view.a = np.zeros_like(view.a)
    options = {"normalise": "softmax"} if name == "score-cam" else {"count": 3} if name in ("ss-cam", "rise") else {}
    found = method(name, **options).explain(view)
    assert np.isfinite(found).all()
    assert name in ("rise", "recipro-cam") or not found.any()


def test_a_negative_score_changes_the_sign_of_the_papers_ablation_map() -> None:
    view = NETWORKS["pooled"]().view()
    assert (view.score < 0).any()
    drop, ratio = (method("ablation-cam", normalise=paper).explain(view) for paper in (False, True))
    assert_agree(ratio, drop / view.score[:, None, None], 1e-12)
    negative = view.score < 0
    assert ((drop * ratio).sum(axis=(1, 2)) < 0).tolist() == negative.tolist()
    # A channel of positive weight and activations supports the class: its drop is positive, whatever the score.
    k = int(np.argmax(view.g[negative][0].mean(axis=(1, 2))))
    assert (view.g * view.a)[negative][0, k].sum() > 0


@pytest.mark.parametrize(("kernel", "sigma"), [(3, 1.0), (51, 50.0)])
def test_blur_equals_a_convolution_of_torch(kernel: int, sigma: float) -> None:
    image = np.random.default_rng(0).normal(size=(3, 40, 33))
    offsets = np.arange(kernel) - kernel // 2
    bell = np.exp(-(offsets**2) / (2 * sigma**2))
    weight = torch.tensor(np.outer(bell, bell) / bell.sum() ** 2).expand(3, 1, kernel, kernel)
    padded = torch.nn.functional.pad(torch.tensor(image)[None], [kernel // 2] * 4, mode="reflect")
    assert_agree(gaussian_blur(image, kernel, sigma), torch.conv2d(padded, weight, groups=3)[0].numpy(), 1e-12)


def test_blur_of_an_image_smaller_than_its_kernel() -> None:
    image = np.full((1, 3, 1), 2.0)
    assert_agree(gaussian_blur(image, 51, 50.0), image, 1e-12)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ss-cam", {"count": 0}, "field count of ss-cam is 0; it must be at least 1"),
        ("is-cam", {"count": -1}, "field count of is-cam is -1; it must be at least 1"),
        ("gscore-cam", {"count": 0}, "field count of gscore-cam is 0; it must be at least 1"),
        ("group-cam", {"groups": 0}, "field groups of group-cam is 0; it must be at least 1"),
        ("group-cam", {"kernel": 4}, "field kernel of group-cam is 4; it must be odd"),
        ("group-cam", {"percentile": 101.0}, "field percentile of group-cam is 101.0; it must lie in 0..100"),
        ("rise", {"keep": 0.0}, "field keep of rise is 0.0; it must be positive"),
        ("rise", {"keep": 1.5}, "field keep of rise is 1.5; it must not exceed 1"),
        (
            "recipro-cam",
            {"mask": "box"},
            "field mask of recipro-cam is 'box'; it must be 'point' or 'gaussian' or 'spread'",
        ),
    ],
)
def test_a_field_out_of_range_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        method(name, **options)
    assert str(caught.value) == message
