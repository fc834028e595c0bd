"""FG-CAM on files, against the rules of Qiu et al. 2023 written down in torch; and what it conserves."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.torch_shim import torchvision  # isort: skip  # onnx2torch imports it

from torch import nn
from torch.nn.functional import conv2d, conv_transpose2d, interpolate

import onnxcam
from tests.helpers.checks import assert_close
from tests.networks.torch_files import write

assert torchvision is not None
SIZE, TARGETS = 24, [2, 0]
# Layers of the file are what an activation or a pool gives; these are the modules that give them, in order.
LAYERS = (2, 3, 6, 7, 9)


@cache
def _network() -> tuple[Any, Any]:
    """Return features and classifier of a small VGG with normalisations of positive scale."""
    torch.manual_seed(1)
    features = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.AvgPool2d(2)),
        *(nn.Conv2d(12, 16, 3, padding=1), nn.ReLU()),
    )
    for module in features:
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(16 * (SIZE // 4) ** 2, 20), nn.ReLU(), nn.Linear(20, 4))
    return features.eval(), classifier.eval()


@cache
def _images() -> torch.Tensor:
    return 3 * torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


def _values(x: torch.Tensor) -> list[torch.Tensor]:
    """Return what each module of the features reads, and the last result."""
    found = [x]
    for module in _network()[0]:
        found.append(module(found[-1]).detach())
    return found


def _terms(x: torch.Tensor, target: int, base: str) -> torch.Tensor:
    """The base's terms, neither summed nor rectified."""
    features, classifier = _network()
    a = features(x).detach().requires_grad_()
    (g,) = torch.autograd.grad(classifier(a)[0, target], a)
    if base == "grad-cam":
        return (g.mean(dim=(2, 3), keepdim=True) * a).detach()
    found = torch.zeros_like(a)
    for k in range(a.shape[1]):
        mask = interpolate(a[:, k : k + 1].detach(), (SIZE, SIZE), mode="bilinear", align_corners=False)
        if mask.max() > mask.min():
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            weight = torch.softmax(classifier(features(x * mask)), dim=1)[0, target]
            found[:, k] = weight.detach() * a[:, k].detach()
    return found


def _denoised(terms: torch.Tensor) -> torch.Tensor:
    """The channels without their means, the largest tenth of the singular values."""
    flat = terms[0].flatten(1).double()
    u, s, v = torch.linalg.svd(flat - flat.mean(dim=1, keepdim=True), full_matrices=False)
    kept = max(1, int(0.1 * min(flat.shape)))
    return (u[:, :kept] @ torch.diag(s[:kept]) @ v[:kept]).reshape(terms.shape).to(terms)


def _safe(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.where(b == 0, torch.zeros_like(a), a / torch.where(b == 0, torch.ones_like(b), b))


def _propagated(terms: torch.Tensor, x: torch.Tensor, until: int) -> torch.Tensor:
    """Down to what the module after ``until`` reads."""
    values, found = _values(x), terms
    for i in reversed(range(until + 1, len(LAYERS) + 5)):
        module, value = _network()[0][i], values[i]
        if isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
            value = value.relu().requires_grad_()
            pooled = module(value)
            found = (value * torch.autograd.grad(pooled, value, _safe(found, pooled.detach()))[0]).detach()
        elif isinstance(module, nn.Conv2d):
            found = _convolution(module.weight.detach(), value, found, first=i == 0)
    return found


def _convolution(w: torch.Tensor, x: torch.Tensor, r: torch.Tensor, first: bool) -> torch.Tensor:
    def there(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return conv2d(x, w, padding=1)

    def back(s: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return conv_transpose2d(s, w, padding=1)

    up, down = w.clamp(min=0), w.clamp(max=0)
    if first:
        low, high = torch.full_like(x, float(x.min())), torch.full_like(x, float(x.max()))
        s = _safe(r, there(x, w) - there(low, up) - there(high, down))
        return x * back(s, w) - low * back(s, up) - high * back(s, down)
    s = _safe(r, there(x.clamp(min=0), up) + there(x.clamp(max=0), down))
    return x.clamp(min=0) * back(s, up) + x.clamp(max=0) * back(s, down)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fine")
    return write(nn.Sequential(*_network()).eval(), (3, SIZE, SIZE), "script", folder / "vgg.onnx")


@pytest.mark.parametrize("to", ["input", *range(len(LAYERS))])
@pytest.mark.parametrize("denoise", [False, True])
@pytest.mark.parametrize("base", ["grad-cam", "score-cam"])
def test_a_map_at_every_resolution(base: str, denoise: bool, to: str | int, path: Path) -> None:
    method = onnxcam.method("fg-cam", base=base, denoise=denoise, to=to)
    explainer = onnxcam.Explainer(path, method, layer=-1)
    assert explainer.layer.shape[1:] == (16, SIZE // 4, SIZE // 4)
    found = explainer(_images().numpy(), TARGETS).raw
    until = LAYERS[to] if isinstance(to, int) else -1
    for i, target in enumerate(TARGETS):
        x = _images()[i : i + 1]
        terms = _terms(x, target, base)
        wanted = _propagated(_denoised(terms) if denoise else terms, x, until).sum(dim=1)[0].numpy()
        assert_close(found[i], wanted, 1e-4)
        for wrong in (found[i] * 1.001, -found[i]):
            with pytest.raises(AssertionError):
                assert_close(wrong, wanted, 1e-4)


@pytest.mark.parametrize("base", ["grad-cam", "score-cam"])
def test_at_its_layer_it_is_its_base_and_its_sum_is_that_of_the_base_everywhere(base: str, path: Path) -> None:
    wanted = onnxcam.Explainer(path, base, layer=-1)(_images().numpy(), TARGETS).raw
    for to in (*range(len(LAYERS)), "input"):
        made = onnxcam.Explainer(path, onnxcam.method("fg-cam", base=base, to=to), layer=-1)
        found = made(_images().numpy(), TARGETS).raw
        if to == len(LAYERS) - 1:
            assert_close(found, wanted, 1e-6)
        totals, base_totals = found.sum(axis=(1, 2)), wanted.sum(axis=(1, 2))
        np.testing.assert_allclose(totals, base_totals, rtol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_nothing_is_lost_in_networks_with_shortcuts(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(weights=None).eval()
    file = write(network, (3, 64, 64), "script", tmp_path / f"{name}.onnx")
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3)).numpy()
    wanted = onnxcam.Explainer(file, "grad-cam")(x, 7).raw
    found = onnxcam.Explainer(file, "fg-cam")(x, 7).raw
    assert found.shape == (1, 64, 64)
    np.testing.assert_allclose(found.sum(), wanted.sum(), rtol=1e-3)
