"""Guided backpropagation and Guided Grad-CAM of exported files against captum on the torch networks."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import onnxcam
from onnxcam.graph.analysis.layers import candidates
from onnxcam.network.read import read_network
from tests.helpers import torch_shim  # noqa: F401 - before anything that imports torchvision
from tests.helpers.method_samples import assert_agree
from tests.networks.torch_files import write

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # whatever their many dependencies warn of on import
    import captum.attr
    import torchvision

SIZE, TARGETS = 64, [3, 7]
CASES = [("resnet18", "script"), ("resnet18", "dynamo"), ("vgg11_bn", "script")]
every_case = pytest.mark.parametrize(("name", "exporter"), CASES)


@cache
def network(name: str) -> Any:
    """Return a network and its last layer; seeded weights, and statistics other than the identity."""
    torch.manual_seed(4)
    body = getattr(torchvision.models, name)(num_classes=10)
    if name == "vgg11_bn":
        body.avgpool, body.classifier = torch.nn.Identity(), torch.nn.Linear(512 * (SIZE // 32) ** 2, 10)
    for module in body.modules():
        if isinstance(module, torch.nn.ReLU):
            module.inplace = False  # captum's hooks need the input of each ReLU
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return body.eval(), body.layer4 if name == "resnet18" else body.features


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guided")


def images() -> torch.Tensor:
    return torch.randn(len(TARGETS), 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def ours(name: str, exporter: str, folder: Path, method: str) -> npt.NDArray[np.float32]:
    path = write(network(name)[0], (3, SIZE, SIZE), exporter, folder / f"{name}_{exporter}.onnx")
    layer = None
    if method != "guided-backprop":
        read = read_network(path)
        offered = candidates(read.model.graph, read.score.name)
        layer = next(one.name for one in offered[::-1] if one.shape[1:] == (512, SIZE // 32, SIZE // 32))
    return onnxcam.Explainer(path, method, layer)(images().numpy(), TARGETS).raw


def captums(name: str, method: str) -> npt.NDArray[np.float32]:
    body, layer = network(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it sets hooks
        if method == "guided-backprop":
            found = captum.attr.GuidedBackprop(body).attribute(images(), target=TARGETS)
        else:
            peer = captum.attr.GuidedGradCam(body, layer)
            found = peer.attribute(images(), target=TARGETS, interpolate_mode="bilinear")
    return np.asarray(found.detach().sum(dim=1))


@every_case
@pytest.mark.parametrize("method", ["guided-backprop", "guided-grad-cam"])
def test_maps_equal_captums(name: str, exporter: str, method: str, folder: Path) -> None:
    found, wanted = ours(name, exporter, folder, method), captums(name, method)
    for one, other in zip(found, wanted, strict=True):
        assert_agree(one, other, 1e-4)
        with pytest.raises(AssertionError):
            assert_agree(1.001 * one, other, 1e-4)


@every_case
def test_guided_backpropagation_is_not_the_gradient(name: str, exporter: str, folder: Path) -> None:
    path = write(network(name)[0], (3, SIZE, SIZE), exporter, folder / f"{name}_{exporter}.onnx")
    plain = onnxcam.Explainer(path, onnxcam.method("gradient", reduce="sum"))(images().numpy(), TARGETS).raw
    guided = captums(name, "guided-backprop")
    assert np.corrcoef(plain.ravel(), guided.ravel())[0, 1] < 0.9
