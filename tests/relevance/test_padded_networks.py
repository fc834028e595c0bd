"""Whole networks with padding of every kind: nothing is lost where relevance is spread, and one map for both forms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import onnxcam
from onnxcam.network.sessions import SessionPool
from onnxcam.relevance.composite import Composite, composites
from onnxcam.relevance.runs import RelevanceRuns
from tests.helpers.checks import assert_close
from tests.networks.torch_files import write

SIZE = 16
SPREAD = [replace(composites()[name], spread=True) for name in ("z-plus", "fine-grained")]


class Padded(nn.Module):  # type: ignore[misc]
    """Padding of every kind; biases alone turn on most of the units."""

    def __init__(self, first: Any, border: float) -> None:
        super().__init__()
        self.first, self.border = first, border
        self.convs = nn.ModuleList(
            nn.Conv2d(*sizes) for sizes in ((3, 6, 3), (6, 6, 3), (6, 6, 3), (6, 8, 1), (8, 8, 3))
        )
        self.last = nn.Linear(12, 5)

    def forward(self, x: Any) -> Any:
        pad = nn.functional.pad
        a, b, c, d, e = self.convs
        x = a(self.first(x)).relu()
        x = pad(x, (0, 1, 0, 1), value=-torch.inf)
        x = nn.functional.max_pool2d(x, 3, 2)
        x = pad(x, (2, 2, -1, 3), value=self.border)
        x = torch.cat([b(x).relu(), c(pad(x[:, :, :, 2:-2], (2, 2))).relu()], dim=1)[:, 3:9]
        x = d(pad(x, (1, 1, 1, 1))).relu()
        y = pad(e(x).relu(), (1, 1, 1, 1, 2, 2))
        x = y + pad(x, (0, 0, 0, 0, 4, 0))
        x = nn.functional.avg_pool2d(x, 2, 2, padding=1, count_include_pad=True)
        return self.last(x.sum(dim=(2, 3)))


PADDINGS = {
    "zeros": nn.ZeroPad2d((1, 2, 0, 1)),
    "a number": nn.ConstantPad2d(1, 0.7),
    "mirrored": nn.ReflectionPad2d(2),
    "edges": nn.ReplicationPad2d((0, 3, 1, 1)),
    "wrapped": nn.CircularPad2d(1),
    "cropped": nn.ZeroPad2d((-2, -1, 2, 3)),
}


@pytest.mark.parametrize("border", [0.0, 2.0])
@pytest.mark.parametrize("name", PADDINGS)
def test_nothing_is_lost_to_padding(name: str, border: float, tmp_path: Path) -> None:
    torch.manual_seed(7)
    network = Padded(PADDINGS[name], border).eval()
    for key, parameter in network.named_parameters():
        parameter.data = parameter.abs() if key.endswith("bias") else -parameter.abs() if key < "convs.3" else parameter
    path = write(network, (3, SIZE, SIZE), "script", tmp_path / "padded.onnx")
    explainer = onnxcam.Explainer(path, "gradient")
    model, runs = explainer.network, RelevanceRuns(explainer.network, SessionPool())
    x = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).numpy()
    start = np.array([[0, 0, 2, 0, 0], [0, -1, 0, 0, 0.5]], np.float32)
    for composite in SPREAD:
        found = runs.run({"x": x}, start, composite, model.score.name, explainer.image.value).reshape(2, -1)
        np.testing.assert_allclose(found.sum(axis=1, dtype=np.float64), start.sum(axis=1), rtol=1e-4)


FLAT = Composite.parse({"rules": [{"at": "first", "rule": "w-square"}, {"at": "any", "rule": "flat"}]})
NAMED = [Composite.parse(name) for name in ("fine-grained", "epsilon-plus-flat", "epsilon-gamma-box", "epsilon-plus")]


@pytest.mark.parametrize(
    "composite",
    [*SPREAD, *NAMED, FLAT],
    ids=lambda one: f"{one.name}{' spread' * one.spread}",
)
def test_padding_before_a_layer_is_as_the_layers_own(composite: Composite, tmp_path: Path) -> None:
    torch.manual_seed(3)
    sizes = ((3, 6, 3, 1, 1), (6, 8, 3, 2, 1), (8, 8, 1, 1, 1))
    own = [nn.Conv2d(*size) for size in sizes]
    apart = []
    for conv, (inside, outside, kernel, stride, padding) in zip(own, sizes, strict=True):
        plain = nn.Conv2d(inside, outside, kernel, stride)
        plain.load_state_dict(conv.state_dict())
        apart += [nn.ZeroPad2d(padding), plain, nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    x = 2 + torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)).numpy()
    maps = []
    for name, layers in (("own", [part for conv in own for part in (conv, nn.ReLU())]), ("apart", apart)):
        path = write(nn.Sequential(*layers, *head).eval(), (3, SIZE, SIZE), "script", tmp_path / f"{name}.onnx")
        maps.append(onnxcam.Explainer(path, onnxcam.method("lrp", composite=composite))(x, [1, 3]).raw)
    assert_close(maps[1], maps[0], 1e-5)
    with pytest.raises(AssertionError):
        assert_close(maps[1] * 1.001, maps[0], 1e-5)
