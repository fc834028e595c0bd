"""Gradients of gradient files: ``differentiate`` applied to what it returned, against torch in float64."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import onnxcam
from tests.helpers.checks import OnnxRuntime, assert_close, relative_error
from tests.helpers.models import floats, model
from tests.helpers.sample import Array
from tests.networks.torch_files import FLOOR, NOISES, write
from tests.networks.torch_networks import NETWORKS, network

_CASES = [
    pytest.param(name, exporter, marks=() if name == "blocks" else pytest.mark.slow)
    for name, exporter in (("blocks", "dynamo"), ("blocks", "script"), ("lstm_last", "script"), ("gru", "script"))
]


def _torch_products(module: Any, x: torch.Tensor, c: torch.Tensor, u: torch.Tensor) -> tuple[Array, Array]:
    """Return the derivatives of ``<u, dS/dlayer>`` with respect to the layer and to the input, S being ``<c, y>``."""
    x = x.clone().requires_grad_()
    layer, y = module(x)
    (g,) = torch.autograd.grad((y * c.to(y)).sum(), layer, create_graph=True)
    of_layer, of_x = torch.autograd.grad((g * u.to(g)).sum(), [layer, x])
    return of_layer.numpy(), of_x.numpy()


@pytest.mark.parametrize(("name", "exporter"), _CASES)
def test_second_derivatives_of_files_with_an_open_batch(name: str, exporter: str, tmp_path: Path) -> None:
    size = (3, *NETWORKS[name][1])
    path = write(network(name), size, exporter, tmp_path / "network.onnx", ("layer", "y"))
    once = onnxcam.differentiate(path, of="y", wrt=["layer"])
    run = OnnxRuntime(onnxcam.differentiate(once, of="grad/layer", wrt=["layer", "x"]))
    single, double = network(name), copy.deepcopy(network(name)).double()
    for batch in (1, 3):
        rng = torch.Generator().manual_seed(batch)
        x = torch.randn(batch, *size, generator=rng)
        layer, y = single(x)
        c, u = torch.randn(y.shape, generator=rng), torch.randn(layer.shape, generator=rng)
        found = run({"x": x.numpy(), "cotangent": c.numpy(), "cotangent2": u.numpy()})
        wanted, own = _torch_products(double, x.double(), c, u), _torch_products(single, x, c, u)
        for key, want, near in zip(("grad2/layer", "grad2/x"), wanted, own, strict=True):
            assert float(np.abs(want).max()) > 0
            assert relative_error(found[key], want) <= max(NOISES * relative_error(near, want), FLOOR)


def test_names_of_higher_orders() -> None:
    """The fourth power: each derivative has its own cotangent, and the class of the first stays a class."""
    proto = model("g (float[n, 3] x) => (float[n, 3] y) { p = Mul(x, x) y = Mul(p, p) }")
    proto = onnxcam.differentiate(proto, of="y", wrt=["x"], seed="class")
    for order in (2, 3):
        of = "grad/x" if order == 2 else "grad2/x"
        proto = onnxcam.differentiate(proto, of=of, wrt=["x"])
    assert [value.name for value in proto.graph.input] == ["x", "class_index", "cotangent2", "cotangent3"]
    assert [value.name for value in proto.graph.output] == ["y", "x", "grad/x", "grad2/x", "grad3/x"]
    x, chosen = floats(2, 3, seed=1), np.array([2, 0])
    found = OnnxRuntime(proto)(
        {"x": x, "class_index": chosen, "cotangent2": np.ones_like(x), "cotangent3": np.ones_like(x)}
    )
    hot = np.eye(3)[chosen]
    for name, want in {"grad/x": 4 * x**3, "grad2/x": 12 * x**2, "grad3/x": 24 * x}.items():
        assert_close(found[name], hot * want, 1e-5)


def test_a_network_of_straight_pieces_has_no_second_derivative() -> None:
    proto = model("g (float[n, 3] x) => (float[n, 2] y) { r = Relu(x) y = MatMul(r, w) }", {"w": floats(3, 2)})
    once = onnxcam.differentiate(proto, of="y", wrt=["x"])
    with pytest.raises(onnxcam.errors.DependencyError, match="does not depend smoothly on 'x'"):
        onnxcam.differentiate(once, of="grad/x", wrt=["x"])
