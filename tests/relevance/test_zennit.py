"""Whole networks against zennit: the same composites, on torch's own network with its normalisations merged."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.torch_shim import torchvision  # isort: skip  # zennit imports it

from zennit import composites as zennit_composites
from zennit.attribution import Gradient
from zennit.composites import layer_map_base
from zennit.rules import Epsilon as ZennitEpsilon
from zennit.rules import ZPlus
from zennit.torchvision import ResNetCanonizer, VGGCanonizer
from zennit.types import Convolution

import onnxcam
from onnxcam.relevance.composite import Composite, LayerSelector
from onnxcam.relevance.rules import Box, Epsilon, Gamma
from tests.helpers.checks import assert_close
from tests.networks.torch_files import write

SIZE, TARGETS, TOLERANCE = 64, [3, 5], 1e-4
_EPSILON_GAMMA_BOX = Composite(
    "boxed",
    (
        (LayerSelector("conv", first=True), Box(low=-3.0, high=3.0)),
        (LayerSelector("conv"), Gamma()),
        (LayerSelector(), Epsilon()),
    ),
)
BOUNDS = {name: torch.full((1, 3, SIZE, SIZE), value) for name, value in (("low", -3.0), ("high", 3.0))}
# z+ without biases, where every sum has shares: then there is nothing to spread.
_FREE = [
    *layer_map_base(),
    (Convolution, ZPlus(stabilizer=1e-20, zero_params="bias")),
    (torch.nn.Linear, ZennitEpsilon()),
]
COMPOSITES: dict[str, tuple[str, dict[str, Any], str | Composite]] = {
    "epsilon-plus": ("EpsilonPlus", {}, "epsilon-plus"),
    "epsilon-plus-flat": ("EpsilonPlusFlat", {}, "epsilon-plus-flat"),
    "epsilon-alpha2-beta1": ("EpsilonAlpha2Beta1", {}, "epsilon-alpha2-beta1"),
    "epsilon-alpha2-beta1-flat": ("EpsilonAlpha2Beta1Flat", {}, "epsilon-alpha2-beta1-flat"),
    "epsilon-gamma-box": ("EpsilonGammaBox", BOUNDS, _EPSILON_GAMMA_BOX),
    "epsilon-plus-spread": ("LayerMapComposite", {"layer_map": _FREE}, "auto"),
    "excitation-backprop": ("ExcitationBackprop", {}, "excitation-backprop"),
}


@cache
def _network(name: str) -> Any:
    """Return a network of torchvision with random weights and normalisations that do something."""
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(weights=None).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
            module.eps = 0.0  # zennit leaves it out where it merges: half of it is lost at each normalisation
    if name == "vgg11_bn":
        # 7 x 7 positions from 2 x 2 is what the exporter cannot write; three dense layers are enough at a smaller size.
        network.avgpool = torch.nn.AdaptiveAvgPool2d(1)
        for index, sizes in ((0, (512, 64)), (3, (64, 32)), (6, (32, 10))):
            network.classifier[index] = torch.nn.Linear(*sizes)
    return network.eval()


@cache
def _images() -> torch.Tensor:
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def _theirs(name: str, composite: str, x: torch.Tensor) -> Any:
    network = _network(name)
    canonizer = ResNetCanonizer() if name.startswith("resnet") else VGGCanonizer()
    cls, options, _ = COMPOSITES[composite]
    made = getattr(zennit_composites, cls)(canonizers=[canonizer], **options)
    y = network(x).detach()
    seed = torch.zeros_like(y)
    seed[range(len(x)), TARGETS] = y[range(len(x)), TARGETS]
    with Gradient(network, made) as attribute:
        return attribute(x, seed)[1].sum(dim=1).numpy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zennit")


@pytest.mark.parametrize("composite", list(COMPOSITES))
@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18"])
def test_lrp_is_that_of_zennit(name: str, composite: str, folder: Path) -> None:
    path = write(_network(name), (3, SIZE, SIZE), "script", folder / f"{name}.onnx")
    wanted = _theirs(name, composite, _images())
    explainer = onnxcam.Explainer(path, onnxcam.method("lrp", composite=COMPOSITES[composite][2]))
    found = explainer(_images().numpy(), TARGETS).raw
    assert_close(found, wanted, TOLERANCE)
    with pytest.raises(AssertionError):
        assert_close(found * 1.001, wanted, TOLERANCE)


@pytest.mark.parametrize("exporter", ["script", "dynamo"])
def test_both_exporters_give_one_map(exporter: str, folder: Path) -> None:
    """One folds normalisations into convolutions, the other leaves them."""
    path = write(_network("resnet18"), (3, SIZE, SIZE), exporter, folder / f"resnet18_{exporter}.onnx")
    found = onnxcam.Explainer(path, onnxcam.method("lrp", composite="epsilon-plus"))(_images().numpy(), TARGETS).raw
    assert_close(np.asarray(found), _theirs("resnet18", "epsilon-plus", _images()), TOLERANCE)
