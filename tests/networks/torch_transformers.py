"""Small versions of networks that normalise each position: transformers of several families, and ConvNeXt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from tests.helpers.torch_shim import torchvision  # isort: skip  # timm imports it

import timm

SIZE = 32
CLASSES = 5


class Scaled(nn.Module):
    """Each position divided by its length, with a scale and a shift: a normalisation that no operator stands for."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * (x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12)) * 4 + self.bias


class WrittenOut(Scaled):
    """Layer normalisation by elementary operators, the mean taken off after the division, as Keras does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(-1, keepdim=True)
        factor = torch.rsqrt((x - mean).square().mean(-1, keepdim=True) + 1e-3) * self.weight
        return x * factor + (self.bias - mean * factor)


class Root(Scaled):
    """Root mean square normalisation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)) + self.bias


class Block(nn.Module):
    """Attention and MLP; normalised before each of them, or after each sum."""

    def __init__(self, width: int, norm: Callable[[int], nn.Module], before: bool) -> None:
        super().__init__()
        self.before = before
        self.norm1, self.norm2 = norm(width), norm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        mixed: torch.Tensor = self.project((q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1) @ v)
        return mixed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.before:
            x = x + self.attention(self.norm1(x))
            result: torch.Tensor = x + self.mlp(self.norm2(x))
        else:
            x = self.norm1(x + self.attention(x))
            result = self.norm2(x + self.mlp(x))
        return result


class Transformer(nn.Module):
    """A vision transformer of patches, with tokens that stand for no position before them.

    Args:
        tokens: how many of these; the first one is classified, or the mean of all patches where there is none.
        norm: of so many channels.
        before: whether blocks normalise what they read, and not their sums.
        pooled: normalise after pooling and not before.
    """

    def __init__(
        self,
        tokens: int = 1,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        before: bool = True,
        pooled: bool = False,
    ) -> None:
        super().__init__()
        width, self.tokens, self.pooled = 16, tokens, pooled
        self.embed = nn.Conv2d(3, width, 8, stride=8)
        self.extra = nn.Parameter(torch.zeros(1, tokens, width))
        self.position = nn.Parameter(torch.zeros(1, tokens + (SIZE // 8) ** 2, width))
        self.blocks = nn.ModuleList(Block(width, norm, before) for _ in range(2))
        self.norm = norm(width) if before else nn.Identity()
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.extra.expand(x.shape[0], -1, -1), x], dim=1) if self.tokens else x
        x = x + self.position
        for block in self.blocks:
            x = block(x)
        x = x if self.pooled else self.norm(x)
        x = x[:, 0] if self.tokens else x.mean(1)
        scores: torch.Tensor = self.head(self.norm(x) if self.pooled else x)
        return scores


def _of_timm(name: str, **options: Any) -> Any:
    small = {"img_size": SIZE, "patch_size": 8, "depth": 2, "embed_dim": 32, "num_heads": 2}
    return timm.create_model(name, pretrained=False, num_classes=CLASSES, **(small | options))


def _vit() -> Any:
    return torchvision.models.VisionTransformer(SIZE, 8, 2, 2, 32, 64, num_classes=CLASSES)


def _swin() -> Any:
    sizes = {"patch_size": [4, 4], "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": [4, 4]}
    return torchvision.models.SwinTransformer(**sizes, num_classes=CLASSES)


def _convnext() -> Any:
    setting = torchvision.models.convnext.CNBlockConfig
    return torchvision.models.ConvNeXt([setting(16, 32, 1), setting(32, None, 2)], num_classes=CLASSES)


def _maxvit() -> Any:
    sizes = {"input_size": (SIZE, SIZE), "stem_channels": 8, "partition_size": 2, "head_dim": 8}
    blocks = {"block_channels": [16, 24], "block_layers": [1, 1], "stochastic_depth_prob": 0.0}
    return torchvision.models.maxvit.MaxVit(**sizes, **blocks, num_classes=CLASSES)


# Written here: what differs between families.
OWN: dict[str, Callable[[], Any]] = {
    "class token": Transformer,
    "class token and registers": partial(Transformer, tokens=3),
    "root mean square": partial(Transformer, norm=Root),
    "length": partial(Transformer, norm=Scaled),
    "written out": partial(Transformer, norm=WrittenOut),
    "normalised sums": partial(Transformer, before=False),
    "mean": partial(Transformer, tokens=0),
    "normalised mean": partial(Transformer, tokens=0, pooled=True),
}
# By libraries.
NAMED: dict[str, Callable[[], Any]] = {
    "vit": _vit,
    "deit": partial(_of_timm, "deit_small_patch16_224"),
    "deit_distilled": partial(_of_timm, "deit_small_distilled_patch16_224"),
    "swin": _swin,
    "dinov2": partial(_of_timm, "vit_small_patch14_reg4_dinov2"),
    "clip": partial(_of_timm, "vit_base_patch16_clip_224"),
    "convnext": _convnext,
    "cait": partial(_of_timm, "cait_xxs24_224"),
    "maxvit": _maxvit,
}

# As published, with random weights, on images of 224 pixels.
FULL_SIZE = 224
FULL: dict[str, Callable[[], Any]] = {
    "vit_b_16": partial(torchvision.models.vit_b_16, weights=None),
    "deit_small": partial(timm.create_model, "deit_small_patch16_224"),
    "swin_t": partial(torchvision.models.swin_t, weights=None),
    "dinov2_small": partial(timm.create_model, "vit_small_patch14_reg4_dinov2", img_size=224, num_classes=9),
    "clip_vit_b_16": partial(timm.create_model, "vit_base_patch16_clip_224", num_classes=9),
    "convnext_tiny": partial(torchvision.models.convnext_tiny, weights=None),
}


def full_network(name: str) -> Any:
    """Return a network of full size as it is made for training, but for a classifier of zeros."""
    torch.manual_seed(0)
    module = FULL[name]().eval()
    with torch.no_grad():
        for weight in module.parameters():
            if weight.ndim > 1 and not weight.any():
                weight.normal_(0, 0.02)
    return module


def network(name: str) -> Any:
    """Return a network with seeded random weights, in inference mode; none of them is 0 and no scale is 1."""
    torch.manual_seed(0)
    module = (OWN | NAMED)[name]().eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn(weight.shape) * (0.2 if weight.numel() == max(weight.shape) else 0.05))
    return module
