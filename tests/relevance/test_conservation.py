"""Relevance is conserved: the total of relevance is the same at every layer."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import onnxcam
from onnxcam.graph.analysis.layers import candidates
from onnxcam.network.sessions import SessionPool
from onnxcam.relevance.composite import composites
from onnxcam.relevance.runs import RelevanceRuns
from tests.helpers.checks import assert_close
from tests.models.test_real import explainer, photographs
from tests.networks.special import Transformer
from tests.networks.torch_files import write

SIZE = 16


class Gated(nn.Module):  # type: ignore[misc]
    """A residual block, a squeezed gate, and branches that are joined."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=bias)
        self.block = nn.Conv2d(8, 8, 3, padding=1, bias=bias)
        self.gate = nn.Conv2d(8, 8, 1, bias=bias)
        self.branches = nn.ModuleList(nn.Conv2d(8, 6, k, 2, padding=k // 2, groups=2, bias=bias) for k in (1, 3))
        self.up, self.last = nn.ConvTranspose2d(12, 24, 2, 2, bias=bias), nn.Linear(24, 5, bias=bias)

    def forward(self, x: Any) -> Any:
        x = self.stem(x).relu()
        x = (x + self.block(x)).relu()
        x = x * self.gate(x.mean(dim=(2, 3), keepdim=True)).sigmoid()
        x = torch.cat([branch(x).relu() for branch in self.branches], dim=1)
        x = nn.functional.max_pool2d(self.up(x).relu(), 2)
        return self.last(nn.functional.avg_pool2d(x, 2).mean(dim=(2, 3)))


@cache
def _file(bias: bool, folder: Path) -> Path:
    torch.manual_seed(5)
    network = Gated(bias)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            # A unit that a bias alone turns on has no share to give its relevance to, and loses it.
            nn.init.uniform_(parameter, -0.02, 0)
    return write(network.eval(), (3, SIZE, SIZE), "script", folder / f"gated_{bias}.onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conservation")


@pytest.mark.parametrize(("composite", "bias"), [("zero", False), ("z-plus", False), ("z-plus", True)])
def test_the_total_is_the_same_at_every_layer(composite: str, bias: bool, folder: Path) -> None:
    explainer = onnxcam.Explainer(_file(bias, folder), "grad-cam")
    network = explainer.network
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).numpy()
    start = np.array([[0, 0, 2, 0, 0], [0, -1, 0, 0, 0.5]], np.float32)
    runs = RelevanceRuns(network, SessionPool())
    names = [layer.name for layer in candidates(network.model.graph, network.score.name)]
    assert len(names) >= 4
    for name in (explainer.image.value, *names):
        found = runs.run({"x": x}, start, composites()[composite], network.score.name, name)
        np.testing.assert_allclose(found.reshape(2, -1).sum(axis=1), start.sum(axis=1), rtol=1e-4)


def test_a_file_with_a_transformer_runs(folder: Path) -> None:
    torch.manual_seed(4)
    path = write(Transformer(token=True).eval(), (3, 8, 6), "script", folder / "transformer.onnx")
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(1)).numpy()
    for method in ("lrp", "relevance-cam", "fg-cam", "clrp", "sglrp"):
        raw = onnxcam.Explainer(path, method, grid=(4, 3))(x, 1).raw
        assert np.isfinite(raw).all()
        assert np.abs(raw).max() > 0


def test_without_biases_lrp_0_is_gradient_times_input(folder: Path) -> None:
    """Wherever a network is made of sums, products with weights, maxima and averages alone."""
    torch.manual_seed(6)
    layers = [nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, 2, bias=False)]
    network = nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5, bias=False))
    path = write(network.eval(), (3, SIZE, SIZE), "script", folder / "plain.onnx")
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).numpy()
    wanted = onnxcam.Explainer(path, "gradient-x-input")(x, [1, 2]).raw
    found = onnxcam.Explainer(path, onnxcam.method("lrp", composite="zero"))(x, [1, 2]).raw
    assert_close(found, wanted, 1e-4)
    with pytest.raises(AssertionError):
        assert_close(found * 1.001, wanted, 1e-4)


@pytest.mark.parametrize("composite", ["z-plus", "fine-grained"])
def test_what_nothing_contributes_to_is_spread(composite: str, folder: Path) -> None:
    """Biases alone turn on most units of this network, and padded and joined and pooled ones among them."""
    torch.manual_seed(7)
    network = Gated(bias=True)
    for name, parameter in network.named_parameters():
        if name.endswith("bias") or name.startswith(("block", "branches", "up")):
            parameter.data = parameter.abs() * (1 if name.endswith("bias") else -1)
    path = write(network.eval(), (3, SIZE, SIZE), "script", folder / "spread.onnx")
    explainer = onnxcam.Explainer(path, "grad-cam")
    model, runs = explainer.network, RelevanceRuns(explainer.network, SessionPool())
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).numpy()
    start = np.array([[0, 0, 2, 0, 0], [0, -1, 0, 0, 0.5]], np.float32)
    rules = composites()[composite]
    lossy, kept = (
        runs.run({"x": x}, start, one, model.score.name, explainer.image.value).reshape(2, -1).sum(axis=1)
        for one in (rules, replace(rules, spread=True))
    )
    assert (np.abs(lossy - start.sum(axis=1)) > 0.3).all()
    np.testing.assert_allclose(kept, start.sum(axis=1), rtol=1e-4)


@pytest.mark.parametrize("name", ["mobilenet_v2_torch_dynamo_fp32", "person_keras_fp32", "resnet8_cifar10_keras_fp32"])
def test_nothing_is_lost_in_real_files(name: str) -> None:
    """Of the paper's rules a thousandth arrives at the input of the first one, through chains of depthwise layers."""
    base = explainer(name, "grad-cam")
    photos = [base.read(path) for path in photographs(name)]
    wanted = base.explain(photos).raw.sum(axis=(1, 2))
    layers = candidates(base.network.model.graph, base.network.score.name)
    for to in ("input", layers[len(layers) // 2].name):
        found = explainer(name, onnxcam.method("fg-cam", spread=True, to=to)).explain(photos).raw
        np.testing.assert_allclose(found.sum(axis=(1, 2)), wanted, rtol=1e-4)
