"""Where relevance saves a division: at shortcuts that a ReLU follows, and at units to which nothing contributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import onnxcam
from onnxcam.relevance.composite import Composite
from tests.helpers.checks import assert_close
from tests.networks.torch_files import write


class _Residual(nn.Module):  # type: ignore[misc]
    """Two blocks with a shortcut each, the second one with a convolution on it."""

    def __init__(self, activation: Any) -> None:
        super().__init__()
        self.first, self.one, self.two, self.aside = (
            nn.Conv2d(*channels, 3, padding=1) for channels in ((3, 8), (8, 8), (8, 6), (8, 6))
        )
        self.activation, self.pool, self.last = activation, nn.MaxPool2d(2), nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        x = self.pool(self.activation(self.first(x)))
        x = self.activation(self.one(x) + x)
        x = self.activation(self.two(x) + self.aside(x))
        return self.last(x.mean(dim=(2, 3)))


def _explained(activation: Any, composite: str, folder: Path) -> Any:
    torch.manual_seed(0)
    network = _Residual(activation).eval()
    name = type(activation).__name__
    path = write(network, (3, 12, 12), "script", folder / f"{name}.onnx")
    x = np.random.default_rng(1).standard_normal((2, 3, 12, 12)).astype(np.float32)
    return onnxcam.Explainer(path, onnxcam.method("lrp", composite=composite))(x, [1, 2]).raw


@pytest.mark.parametrize("composite", ["z-plus", "epsilon-plus", "fine-grained", "zero"])
def test_a_shortcut_is_divided_whatever_follows_it(composite: str, tmp_path: Path) -> None:
    """A leaky ReLU that leaks nothing is a ReLU, which the rules know nothing of."""
    found, wanted = (_explained(one, composite, tmp_path) for one in (nn.ReLU(), nn.LeakyReLU(0.0)))
    assert_close(found, wanted, 1e-4)
    with pytest.raises(AssertionError):
        assert_close(found * 1.001, wanted, 1e-4)


@pytest.mark.parametrize("composite", ["z-plus", "fine-grained", "epsilon-plus"])
def test_what_lies_on_a_unit_that_its_bias_alone_turns_on_is_lost(composite: str, tmp_path: Path) -> None:
    first, second, last = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 2, 1), nn.Linear(2, 2, bias=False)
    for module, weight, bias in ((first, [1.0], [0.5]), (second, [1.0, -1.0], [0.0, 100.0])):
        module.weight.data = torch.tensor(weight).reshape(module.weight.shape)
        module.bias.data = torch.tensor(bias)
    last.weight.data = torch.ones(2, 2)
    network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
    path = write(network.eval(), (1, 4, 4), "script", tmp_path / "lost.onnx")
    x = np.random.default_rng(0).uniform(0.5, 1, (1, 1, 4, 4)).astype(np.float32)
    x[0, 0, 0, 0] = -3  # where the first unit is off
    asked = onnxcam.Explainer(path, onnxcam.method("lrp", composite=composite)).view(x, 0)
    found = asked.relevance(Composite.parse(composite), to="input")
    assert np.isfinite(found).all()
    assert found[0, 0, 0, 0] == 0
    kept = np.maximum(x + 0.5, 0).mean()
    if composite != "epsilon-plus":
        np.testing.assert_allclose(found.sum(), kept, rtol=1e-4)
