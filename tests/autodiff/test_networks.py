"""Input gradients of whole networks against torch's autograd in float64, on files of both of torch's exporters."""

from __future__ import annotations

import copy
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

import tests.helpers.torch_shim  # noqa: F401  # makes torchvision importable
from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import OnnxRuntime, relative_error
from tests.helpers.sample import Array
from tests.networks.torch_files import FLOOR, NOISES, neighbours, write

_PIXELS = 96
# Its adaptive pooling to 7 x 7 positions is exported only where it does nothing.
_WIDE = {"vgg11_bn": 224, "vit_b_16": 224, "swin_v2_t": 128}
_CLASS = 7

_SLOW = (
    "resnet50",
    "mobilenet_v3_small",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "shufflenet_v2_x1_0",
    "vgg11_bn",
    "mnasnet0_5",
    "regnet_y_400mf",
    "convnext_tiny",
    "vit_b_16",
    "swin_t",
    "swin_v2_t",
)
_NETWORKS = ["resnet18", *(pytest.param(name, marks=pytest.mark.slow) for name in _SLOW)]


@cache
def network(name: str) -> Any:
    """Return a network with seeded random weights, in inference mode."""
    from torchvision import models

    torch.manual_seed(0)
    options = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = models.get_model(name, weights=None, **options).eval()
    if name == "vit_b_16":
        # A head of zeros, as it is drawn, would have no gradient to compare.
        torch.nn.init.normal_(module.heads.head.weight, std=0.02)
    return module


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


def pixels(name: str) -> int:
    """Return the height and width of a network's input."""
    return _WIDE.get(name, _PIXELS)


def export(name: str, exporter: str, folder: Path) -> Path:
    """Write the network as a file with a dynamic batch."""
    path = folder / f"{name}_{exporter}.onnx"
    return write(network(name), (3, pixels(name), pixels(name)), exporter, path)


def torch_gradient(module: Any, x: torch.Tensor) -> Array:
    """Return the gradient of one logit with respect to the input."""
    x = x.clone().requires_grad_()
    module(x)[:, _CLASS].sum().backward()
    gradient: Array = x.grad.numpy()
    return gradient


@pytest.mark.parametrize("exporter", ["dynamo", "script"])
@pytest.mark.parametrize("name", _NETWORKS)
def test_input_gradient(name: str, exporter: str, folder: Path) -> None:
    model = canonicalize(load(export(name, exporter, folder)).ir)
    proto = ir.to_proto(add_gradients(model, "y", ["x"], "class"))
    onnx.checker.check_model(proto, full_check=True)
    run = OnnxRuntime(proto)
    single, double = network(name), copy.deepcopy(network(name)).double()
    for batch in (1, 3):
        x = torch.randn(batch, 3, pixels(name), pixels(name), generator=torch.Generator().manual_seed(batch))
        wanted = torch_gradient(double, x.double())
        found = run({"x": x.numpy(), "class_index": np.full(batch, _CLASS)})["grad/x"]
        error = relative_error(found, wanted)
        noise = 0.0
        for near in neighbours(x):
            noise = max(noise, relative_error(torch_gradient(single, near), wanted))
            if error <= max(NOISES * noise, FLOOR):
                break
        print(f"{name} {exporter} batch {batch}: error {error:.1e}, torch float32 {noise:.1e}")
        assert error <= max(NOISES * noise, FLOOR)
