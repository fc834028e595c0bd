"""Networks with dense outputs, with boxes, and of the blocks that newer classifiers are made of.

Each returns two values: the activations of one layer, and its output.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import torch
from torch import nn

import tests.helpers.torch_shim  # noqa: F401  # makes torchvision importable

Pair: TypeAlias = tuple[torch.Tensor, torch.Tensor]
_CLASSES = 5


class Dense(nn.Module):
    """torchvision's segmentation: the trunk's last feature map, and classes at every pixel."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> Pair:
        features = self.network.backbone(x)
        scores = self.network.classifier(features if "low" in features else features["out"])
        layer = features["high" if "high" in features else "out"]
        return layer, nn.functional.interpolate(scores, size=x.shape[-2:], mode="bilinear", align_corners=False)


class Detector(nn.Module):
    """torchvision's SSD without what sorts boxes out: the first feature map; logits and box offsets of all anchors."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> Pair:
        features = list(self.network.backbone(x).values())
        found = self.network.head(features)
        return features[0], torch.cat([found["cls_logits"], found["bbox_regression"]], dim=2)


def convolve(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, normalisation and a leaky ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1))


class Context(nn.Module):
    """RetinaFace's context module: three depths of convolution side by side."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(channels, channels // 2, 3, 1, 1)
        self.first = convolve(channels, channels // 4)
        self.wide = nn.Conv2d(channels // 4, channels // 4, 3, 1, 1)
        self.wider = nn.Sequential(
            convolve(channels // 4, channels // 4), nn.Conv2d(channels // 4, channels // 4, 3, 1, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first(x)
        return nn.functional.relu(torch.cat([self.near(x), self.wide(first), self.wider(first)], dim=1))


class Faces(nn.Module):
    """RetinaFace in small: pyramid of three levels, two anchors a position; class, box and landmarks of each anchor."""

    values = (2, 4, 10)

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        widths = (12, 24, 32)
        self.stem = nn.Sequential(convolve(3, 8, stride=2), convolve(8, 8, stride=2, groups=8))
        self.stages = nn.ModuleList(convolve(a, b, stride=2) for a, b in zip((8, *widths), widths, strict=False))
        self.laterals = nn.ModuleList(convolve(width, channels, kernel=1) for width in widths)
        self.merges = nn.ModuleList(convolve(channels, channels) for _ in widths[1:])
        self.contexts = nn.ModuleList(Context(channels) for _ in widths)
        self.heads = nn.ModuleList(nn.ModuleList(nn.Conv2d(channels, 2 * n, 1) for n in self.values) for _ in widths)

    def forward(self, x: torch.Tensor) -> Pair:
        x = self.stem(x)
        levels = []
        for stage, lateral in zip(self.stages, self.laterals, strict=True):
            x = stage(x)
            levels.append(lateral(x))
        for i in (1, 0):
            above = nn.functional.interpolate(levels[i + 1], size=levels[i].shape[-2:], mode="nearest")
            levels[i] = self.merges[i](levels[i] + above)
        maps = [context(level) for context, level in zip(self.contexts, levels, strict=True)]
        return maps[0], torch.cat([self._anchors(i, level) for i, level in enumerate(maps)], dim=1)

    def _anchors(self, level: int, x: torch.Tensor) -> torch.Tensor:
        found = [
            head(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, n)
            for head, n in zip(self.heads[level], self.values, strict=True)
        ]
        return torch.cat([nn.functional.softmax(found[0], dim=-1), *found[1:]], dim=2)


class Squeeze(nn.Module):
    """Squeeze and excite."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, channels // 4, 1), nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.expand(nn.functional.silu(self.reduce(x.mean((2, 3), keepdim=True)))).sigmoid()


class LayerNorm2d(nn.LayerNorm):
    """Normalisation over the channels of each position."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Inverted(nn.Module):
    """Expand, depthwise, squeeze and excite, project: EfficientNet's block, normalised in groups."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.expand = nn.Sequential(nn.Conv2d(channels, wide, 1, bias=False), nn.GroupNorm(4, wide), nn.SiLU())
        self.spread = nn.Sequential(
            nn.Conv2d(wide, wide, 5, padding=2, groups=wide, bias=False), nn.GroupNorm(1, wide), nn.SiLU()
        )
        self.gate = Squeeze(wide)
        self.project = nn.Sequential(nn.Conv2d(wide, channels, 1, bias=False), nn.GroupNorm(4, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = x + self.project(self.gate(self.spread(self.expand(x))))
        return result


class Gated(nn.Module):
    """ConvNeXt's block with a GEGLU: depthwise, normalised, then one half of the channels gates the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = LayerNorm2d(channels, eps=1e-6)
        self.widen, self.project = nn.Linear(channels, 4 * channels), nn.Linear(2 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, gate = self.widen(self.norm(self.spread(x)).permute(0, 2, 3, 1)).chunk(2, dim=-1)
        return x + (self.scale * self.project(value * nn.functional.gelu(gate))).permute(0, 3, 1, 2)


class Blocks(nn.Module):
    """A classifier as timm puts them together; no stochastic depth, which inference does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 4, stride=4), LayerNorm2d(16, eps=1e-6))
        self.blocks = nn.Sequential(
            Inverted(16), Gated(16), LayerNorm2d(16), nn.Conv2d(16, 24, 2, stride=2), Inverted(24), Gated(24)
        )
        self.norm = nn.LayerNorm(24)
        self.head = nn.Linear(24, _CLASSES)

    def forward(self, x: torch.Tensor) -> Pair:
        layer = self.blocks(self.stem(x))
        return layer, self.head(self.norm(layer.mean((2, 3))))


class Reader(nn.Module):
    """A reader of text as CRNN is: columns of a feature map go through recurrent layers, to classes at each of them.

    With ``last``, only what the layers end in is classified.
    """

    def __init__(self, layers: type[nn.RNNBase], last: bool = False) -> None:
        super().__init__()
        self.last = last
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU())
        self.reader = layers(12, 10, num_layers=2, bidirectional=True)
        self.head = nn.Linear(20, _CLASSES)

    def forward(self, x: torch.Tensor) -> Pair:
        layer = self.trunk(x)
        states, ends = self.reader(layer.mean(2).permute(2, 0, 1))
        if not self.last:
            return layer, self.head(states).permute(1, 0, 2)
        end = ends[0] if isinstance(ends, tuple) else ends
        return layer, self.head(torch.cat([end[-2], end[-1]], dim=1))


def _segmentation(name: str) -> Dense:
    from torchvision.models import get_model

    return Dense(get_model(name, weights=None, weights_backbone=None, num_classes=_CLASSES))


def _ssdlite() -> Detector:
    from torchvision.models import get_model

    return Detector(
        get_model("ssdlite320_mobilenet_v3_large", weights=None, weights_backbone=None, num_classes=_CLASSES)
    )


# What makes each network, and the height and width of its input.
NETWORKS: dict[str, tuple[Callable[[], Any], tuple[int, int]]] = {
    "deeplabv3_mobilenet_v3_large": (lambda: _segmentation("deeplabv3_mobilenet_v3_large"), (64, 80)),
    "lraspp_mobilenet_v3_large": (lambda: _segmentation("lraspp_mobilenet_v3_large"), (64, 80)),
    "ssdlite320_mobilenet_v3_large": (_ssdlite, (96, 96)),
    "retinaface": (Faces, (72, 56)),
    "blocks": (Blocks, (32, 40)),
    "lstm": (lambda: Reader(nn.LSTM), (16, 48)),
    "lstm_last": (lambda: Reader(nn.LSTM, last=True), (16, 48)),
    "gru": (lambda: Reader(nn.GRU), (16, 48)),
    "rnn_last": (lambda: Reader(nn.RNN, last=True), (16, 48)),
}


@cache
def network(name: str) -> Any:
    """Return a network with seeded random weights, in inference mode, its normalisations doing something."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = NETWORKS[name][0]().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.normal_(part.running_mean, std=0.1)
    return module
