"""Gradients of networks with dense outputs and boxes against torch's autograd in float64, of both exporters' files."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import OnnxRuntime, relative_error
from tests.helpers.sample import Array
from tests.networks.torch_files import FLOOR, NOISES, neighbours, write
from tests.networks.torch_networks import NETWORKS, network

# One network by each exporter is enough for every day, and the small ones.
_FAST = {("blocks", "dynamo"), ("blocks", "script"), ("retinaface", "script")}
_FAST |= {(name, "script") for name in ("lstm", "lstm_last", "gru", "rnn_last")}
_CASES = [
    pytest.param(name, exporter, marks=() if (name, exporter) in _FAST else pytest.mark.slow)
    for name in NETWORKS
    for exporter in ("dynamo", "script")
]


def torch_gradients(module: Any, x: torch.Tensor, cotangent: torch.Tensor) -> tuple[Array, Array]:
    """Return the gradients of ``sum(cotangent * output)`` with respect to the input and to the layer."""
    x = x.clone().requires_grad_()
    layer, y = module(x)
    of_x, of_layer = torch.autograd.grad(y, [x, layer], cotangent.to(y))
    return of_x.numpy(), of_layer.numpy()


def _within_noise(single: Any, x: torch.Tensor, cotangent: torch.Tensor, found: Any, wanted: Any) -> str:
    """Compare; return the errors beside those of torch's own float32.

    Raises:
        AssertionError: one is larger than that.
    """
    errors = [relative_error(a, b) for a, b in zip(found, wanted, strict=True)]
    noises = [0.0, 0.0]
    for near in neighbours(x):
        own = torch_gradients(single, near, cotangent)
        noises = [max(n, relative_error(a, b)) for n, a, b in zip(noises, own, wanted, strict=True)]
        if all(e <= max(NOISES * n, FLOOR) for e, n in zip(errors, noises, strict=True)):
            break
    text = ", ".join(
        f"{what} {e:.1e} (torch float32 {n:.1e})" for what, e, n in zip(("input", "layer"), errors, noises, strict=True)
    )
    assert all(e <= max(NOISES * n, FLOOR) for e, n in zip(errors, noises, strict=True)), text
    return text


@pytest.mark.parametrize(("name", "exporter"), _CASES)
def test_gradients_of_a_random_cotangent(name: str, exporter: str, tmp_path: Path) -> None:
    size = (3, *NETWORKS[name][1])
    path = write(network(name), size, exporter, tmp_path / "network.onnx", ("layer", "y"))
    model = canonicalize(load(path).ir)
    proto = ir.to_proto(add_gradients(model, "y", ["x", "layer"]))
    onnx.checker.check_model(proto, full_check=True)
    run = OnnxRuntime(proto)
    single, double = network(name), copy.deepcopy(network(name)).double()
    for batch in (1, 3):
        rng = torch.Generator().manual_seed(batch)
        x = torch.randn(batch, *size, generator=rng)
        layer, y = single(x)
        cotangent = torch.randn(y.shape, generator=rng)
        results = run({"x": x.numpy(), "cotangent": cotangent.numpy()})
        np.testing.assert_allclose(results["y"], y.detach(), atol=1e-4 * float(y.detach().abs().max()))
        assert results["grad/layer"].shape == tuple(layer.shape)
        found = results["grad/x"], results["grad/layer"]
        wanted = torch_gradients(double, x.double(), cotangent)
        print(f"{name} {exporter} batch {batch}: {_within_noise(single, x, cotangent, found, wanted)}")
