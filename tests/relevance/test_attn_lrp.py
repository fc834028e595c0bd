"""Relevance of transformers against lxt, the code of AttnLRP's authors, and what becomes of all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers.torch_shim import torchvision  # isort: skip  # before anything that imports it

import onnxcam
from onnxcam.autodiff.differentiate import gradient_name
from onnxcam.relevance.composite import Composite, LayerSelector, composites
from onnxcam.relevance.rules import Epsilon
from onnxcam.relevance.table import relevance_table
from tests.helpers.checks import Reference, assert_close, differentiate
from tests.helpers.models import model
from tests.networks.torch_files import write
from tests.oracles.attn_lrp import attn_lrp

lxt = pytest.importorskip("lxt.explicit.functional")
# lxt adds its stabilizer to negative results too, where it brings them nearer to 0.
SIGNS, SIZE, TARGETS = 2e-2, 32, [1, 3]
EVERYWHERE = Composite("epsilon", ((LayerSelector(), Epsilon()),))


def transformer(seed: int) -> Any:
    """Return torchvision's network, small, with biases, shifts and last layer drawn."""
    torch.manual_seed(seed)
    sizes = {"num_layers": 3, "num_heads": 4, "hidden_dim": 32, "mlp_dim": 64, "num_classes": 10}
    network = torchvision.models.VisionTransformer(image_size=SIZE, patch_size=8, **sizes).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, 0, 0.1)
        elif "heads" in name or ".ln" in name:
            nn.init.normal_(parameter, float("ln" in name), 0.3)
    return network


def images() -> Any:
    return torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def test_one_layer_normalisation_is_as_in_the_authors_code() -> None:
    """Without stabilizers, whose signs differ, to the last digits of double precision."""
    draw = np.random.default_rng(5)
    x, r, scale, shift = draw.normal(1, 2, (3, 4, 6)), draw.normal(size=(3, 4, 6)), *draw.normal(size=(2, 6))
    values = torch.tensor(x, requires_grad=True)
    y = lxt.layer_norm_grad_fn.apply(values, torch.tensor(scale), torch.tensor(shift), 1e-5, 0.0)
    (wanted,) = torch.autograd.grad(y, values, torch.tensor(r))
    text = "g (double[3, 4, 6] x) => (double[3, 4, 6] y) { y = LayerNormalization<epsilon = 0.00001>(x, c, b) }"
    table = relevance_table(composites()["zero"])
    run = Reference(differentiate(model(text, {"c": scale, "b": shift}), "y", ["x"], table))
    found = run({"x": x, "cotangent": r.astype(np.float32)})[gradient_name("x")]
    assert_close(found, wanted.numpy(), 1e-6)
    with pytest.raises(AssertionError):
        assert_close(np.asarray(r), wanted.numpy(), 0.5)  # relevance that passes unchanged


@pytest.mark.parametrize(
    ("exporter", "seed"), [("script", 0), ("script", 1), pytest.param("dynamo", 2, marks=pytest.mark.slow)]
)
def test_a_vision_transformer_is_as_in_the_authors_code(exporter: str, seed: int, tmp_path: Path) -> None:
    network, x = transformer(seed), images()
    path = write(network, (3, SIZE, SIZE), exporter, tmp_path / "vit.onnx")
    found = onnxcam.Explainer(path, onnxcam.method("lrp", composite=EVERYWHERE))(x.numpy(), TARGETS).raw
    wanted = attn_lrp(network, x, TARGETS)[0].sum(axis=1)
    assert_close(np.asarray(found), wanted, SIGNS)
    for i in range(2):
        assert np.corrcoef(found[i].ravel(), wanted[i].ravel())[0, 1] > 0.999


class Mixer(nn.Module):  # type: ignore[misc]
    """Normalisations of tokens and dense layers, without attention; nothing in it is added but what varies."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.patches, self.last = nn.Conv2d(3, 8, 4, stride=4, bias=bias), nn.Linear(8, 5, bias=bias)
        self.norms = nn.ModuleList(nn.LayerNorm(8, bias=bias) for _ in range(3))
        self.across = nn.ModuleList(nn.Linear(9, 9, bias=bias) for _ in range(2))
        self.within = nn.ModuleList(nn.Linear(8, 8, bias=bias) for _ in range(2))
        self.place = nn.Parameter(torch.randn(1, 9, 8)) if bias else None
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(parameter, 0, 0.3)

    def forward(self, x: Any, norm: Any = None) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x if self.place is None else x + self.place
        for i in range(2):
            y = self.normalised(self.norms[i], x)
            x = x + self.within[i](self.across[i](y.transpose(1, 2)).transpose(1, 2))
        return self.last(self.normalised(self.norms[2], x).mean(dim=1))

    def normalised(self, norm: Any, x: Any) -> Any:
        """Normalise, the deviation fixed: then value times slope is relevance, of biases too."""
        deviation = torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + norm.eps).detach()
        y = (x - x.mean(-1, keepdim=True)) / deviation * norm.weight
        return y if norm.bias is None else y + norm.bias


@pytest.mark.parametrize("opset", [16, 17])
def test_without_biases_all_relevance_arrives(opset: int, tmp_path: Path) -> None:
    torch.manual_seed(4)
    network, x = Mixer(bias=False).eval(), torch.randn(2, 3, 12, 12)
    path = write(network, (3, 12, 12), "script", tmp_path / "mixer.onnx", opset=opset)
    found = onnxcam.Explainer(path, onnxcam.method("lrp", composite="zero"))(x.numpy(), TARGETS).raw
    scores = network(x)[range(2), TARGETS].detach().numpy()
    np.testing.assert_allclose(found.sum(axis=(1, 2)), scores, rtol=1e-4)


def test_what_does_not_arrive_is_what_biases_shifts_and_positions_take(tmp_path: Path) -> None:
    """Of a sum, a bias takes its share: what it adds times what the score changes by."""
    torch.manual_seed(4)
    network, x = Mixer(bias=True).eval(), torch.randn(1, 3, 12, 12)
    path = write(network, (3, 12, 12), "script", tmp_path / "mixer.onnx")
    found = onnxcam.Explainer(path, onnxcam.method("lrp", composite="zero"))(x.numpy(), 1).raw.sum()
    logits = network(x)[0, 1]
    score = float(logits.detach())
    added = [parameter for name, parameter in network.named_parameters() if name.endswith("bias") or name == "place"]
    taken = [float((p.detach() * g).sum()) for p, g in zip(added, torch.autograd.grad(logits, added), strict=True)]
    assert len(taken) == 10
    assert sum(map(abs, taken)) > 0.1 * abs(score)
    np.testing.assert_allclose(found + sum(taken), score, rtol=1e-4)
    assert abs(found - score) > 1e-2 * abs(score)
