"""The small convolutional network that is trained on the set."""

from typing import Final

import torch
from torch import nn

from .outlines import CLASSES

CHANNELS: Final = 64
"""Channels of the last feature map."""
POSITIONS: Final = 12
"""Height and width of the last feature map."""


def trunk() -> nn.Sequential:
    """Convolutions from float32 [N, 3, 96, 96] to the last feature map, float32 [N, 64, 12, 12], not negative."""
    return nn.Sequential(
        *_stage(3, 16, kernel=5, stride=2),
        nn.MaxPool2d(2),
        *_stage(16, 32),
        *_stage(32, 32),
        nn.MaxPool2d(2),
        *_stage(32, 48),
        *_stage(48, CHANNELS),
    )


def head() -> nn.Sequential:
    """One linear layer on the whole flattened feature map, to logits, float32 [N, 6].

    Each logit is a weighted sum over the feature map with a weight of its own for every position. So gradient times
    activation is exactly what each position adds to the logit (HiResCAM), while averaging the gradient first (Grad-CAM)
    is not; after a global average pooling the two would be equal.
    """
    linear = nn.Linear(CHANNELS * POSITIONS * POSITIONS, len(CLASSES))
    with torch.no_grad():
        linear.weight.mul_(0.1)  # 9216 terms add up: larger beginnings drown the first hundred steps in their own noise
    return nn.Sequential(nn.Dropout(0.2), nn.Flatten(), linear)


def _stage(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()
