"""Shapley-CAM of other people's files and of torch's own exports, batch open, against torch's double backward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers.torch_shim import torchvision  # isort: skip  # onnx2torch imports it

import onnxcam
from onnxcam.engines.torch_module import convert
from onnxcam.graph.io.load import load
from onnxcam.network.random_inputs import random_inputs
from tests.helpers.checks import assert_close
from tests.helpers.sample import Array
from tests.helpers.shared import shared_path
from tests.networks.torch_files import write

# onnx2torch's Slice.
pytestmark = pytest.mark.filterwarnings("ignore:Using a non-tuple sequence:UserWarning")
_EXPORTERS = Path(__file__).resolve().parents[2] / "models" / "exporters"
_FILES = [
    pytest.param("paddle_small", "p2o.pd_op.concat.0.0"),
    pytest.param("ppocr_cls_paddle", "batch_norm_12.tmp_2", marks=pytest.mark.slow),
    pytest.param("yolox_nano_detection", "781", marks=pytest.mark.slow),
]


def _shapley(a: Array, g: Array, curved: Array) -> Array:
    """The paper's sum in its plain form: ``sum_k mean(g - H a / 2)_k a_k``, of ``[N, C, *spatial]``."""
    slope = g - curved / 2
    return np.stack(
        [sum((slope[n, k].mean() * a[n, k] for k in range(a.shape[1])), np.zeros(())) for n in range(len(a))]
    )


def _torch_terms(score: Any, a: Any, leading: int = 0) -> tuple[Array, Array, Array]:
    """Return the layer, its gradient and ``H a``, where ``leading`` tokens are no part of the map and stay fixed."""
    (g,) = torch.autograd.grad(score, a, create_graph=True)
    v = a.detach().clone()
    if leading:
        v[:, :leading] = 0
    (curved,) = torch.autograd.grad((g * v).sum(), a)
    return a.detach().numpy(), g.detach().numpy(), curved.numpy()


@pytest.mark.parametrize(("name", "layer"), _FILES)
def test_files_that_onnx2torch_converts(name: str, layer: str) -> None:
    path = _EXPORTERS / f"{name}.onnx"
    explainer = onnxcam.Explainer(path if path.exists() else shared_path("models", path.name), "shapley-cam", layer)
    module = convert(load(explainer.network.file.path or path))
    module.module.double()
    for batch in (1, 3) if explainer.network.batch is None and "yolox" not in name else (1,):
        feeds = random_inputs(explainer.network.inputs, batch, seed=batch)
        view = explainer.view(feeds)
        wide = {key: x.astype(np.float64) for key, x in feeds.items()}
        found = module.run(wide, [layer, explainer.network.score.name])
        scores = found[explainer.network.score.name]
        explained = (scores * torch.tensor(np.asarray(view.weights, np.float64)).reshape(scores.shape)).sum()
        terms = _torch_terms(explained, found[layer])
        assert np.linalg.norm(terms[2]) > 0.01 * np.linalg.norm(terms[1])
        assert_close(view.hessian_vector_product(view.a), terms[2], 1e-3)
        assert_close(explainer(feeds).raw, _shapley(*terms), 1e-3)


class _Split(nn.Module):  # type: ignore[misc]
    """A torchvision transformer of two halves; the layer between them holds tokens, channels last."""

    def __init__(self) -> None:
        super().__init__()
        made = torchvision.models.VisionTransformer(
            image_size=16, patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=5
        )
        nn.init.normal_(made.heads[-1].weight, std=0.5)
        self.whole = made

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        made = self.whole
        x = made._process_input(x)
        x = torch.cat([made.class_token.expand(x.shape[0], -1, -1), x], dim=1) + made.encoder.pos_embedding
        layer: torch.Tensor = made.encoder.layers[0](x)
        return layer

    def after(self, tokens: torch.Tensor) -> torch.Tensor:
        made = self.whole
        scores: torch.Tensor = made.heads(made.encoder.ln(made.encoder.layers[1](tokens))[:, 0])
        return scores

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        layer = self.tokens(x)
        return layer, self.after(layer)


@pytest.mark.parametrize("exporter", ["dynamo", "script"])
def test_a_transformer_with_an_open_batch(exporter: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = _Split().eval()
    path = write(network, (3, 16, 16), exporter, tmp_path / "vit.onnx", ("layer", "logits"))
    explainer = onnxcam.Explainer(path, "shapley-cam", "layer", score="logits")
    network.double()
    for batch in (1, 3):
        x = np.random.default_rng(batch).standard_normal((batch, 3, 16, 16)).astype(np.float32)
        tokens = network.tokens(torch.tensor(x).double()).detach().requires_grad_()
        classes = list(range(batch))
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # which has second derivatives
            score = network.after(tokens)[torch.arange(batch), torch.tensor(classes)].sum()
        terms = [_maps(part) for part in _torch_terms(score, tokens, leading=1)]
        assert np.linalg.norm(terms[2]) > 0.01 * np.linalg.norm(terms[1])
        assert_close(explainer(x, classes).raw, _shapley(terms[0], terms[1], terms[2]), 1e-4)


def _maps(tokens: Array) -> Array:
    """Return ``[N, 1 + 16, C]`` as ``[N, C, 4, 4]``, without the class token."""
    return np.asarray(tokens[:, 1:].transpose(0, 2, 1).reshape(len(tokens), -1, 4, 4))
