"""Attention: LRP-0 of a transformer is the input times the gradient of another network, which torch differentiates.

Relevance is value times slope wherever every rule is linear in what it takes as fixed. So each rule of AttnLRP
(Achtibat et al. 2024) has a twin that autograd knows: an activation is ``x (y / x)`` with the quotient fixed, a
normalisation itself with its deviation fixed, a product of two values half of it with one fixed and half with the
other; a softmax is itself, and so is adding positions, which take their share.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import onnxcam
from tests.helpers.checks import assert_close
from tests.networks.torch_files import write


def scaled(y: Any, x: Any) -> Any:
    """Pass relevance unchanged."""
    return x * (y / x).detach()


def half(a: Any, b: Any) -> Any:
    """Share relevance between two factors."""
    return (a.detach() @ b + a @ b.detach()) / 2


def normalised(norm: Any, x: Any) -> Any:
    """Normalise, the deviation fixed."""
    deviation = torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + norm.eps).detach()
    return (x - x.mean(-1, keepdim=True)) / deviation * norm.weight + norm.bias


class Vision(nn.Module):  # type: ignore[misc]
    """Patches, positions, a class token, two blocks of attention and two dense layers, as ViT has them."""

    def __init__(self) -> None:
        super().__init__()
        width = 8
        self.patches, self.last = nn.Conv2d(3, width, 4, stride=4), nn.Linear(width, 5)
        self.token, self.place = (nn.Parameter(torch.randn(1, n, width)) for n in (1, 10))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))
        self.reads = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(2))
        self.dense = nn.ModuleList(nn.Sequential(nn.Linear(width, 16), nn.Linear(16, width)) for _ in range(2))
        for norm in self.norms:
            nn.init.normal_(norm.bias, 0, 0.3)
        self.twin = False

    def passed(self, function: Any, x: Any) -> Any:
        return scaled(function(x), x) if self.twin else function(x)

    def norm(self, index: int, x: Any) -> Any:
        return normalised(self.norms[index], x) if self.twin else self.norms[index](x)

    def product(self, a: Any, b: Any) -> Any:
        return half(a, b) if self.twin else a @ b

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        x = x + self.place
        for i in range(2):
            tokens = self.norm(2 * i, x)
            query, key, value = self.reads[i](tokens).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
            weights = torch.softmax(self.product(query, key.transpose(2, 3)) / 2, dim=3)
            x = x + self.product(weights, value).transpose(1, 2).flatten(2)
            inner = self.passed(nn.functional.gelu, self.dense[i][0](self.norm(2 * i + 1, x)))
            x = x + self.dense[i][1](inner)
        return self.last(self.norm(4, x)[:, 0])


@pytest.mark.parametrize("exporter", ["script", "dynamo"])
def test_lrp_0_is_the_input_times_the_gradient_of_the_twin(exporter: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    network = Vision().eval()
    path = write(network, (3, 12, 12), exporter, tmp_path / f"vit_{exporter}.onnx")
    x, targets = torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1)), [1, 3]
    found = onnxcam.Explainer(path, onnxcam.method("lrp", composite="zero"))(x.numpy(), targets).raw
    network.twin = True
    twin, values = network.double(), x.double().requires_grad_()
    (slopes,) = torch.autograd.grad(twin(values)[range(2), targets].sum(), values)
    wanted = (values * slopes).detach().sum(dim=1).numpy()
    assert_close(np.asarray(found), wanted, 1e-4)
    with pytest.raises(AssertionError):
        assert_close(np.asarray(found) * 1.001, wanted, 1e-4)
