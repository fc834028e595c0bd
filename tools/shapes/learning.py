"""Fitting the network to drawings, and measuring how often it is right."""

import sys
from typing import Final

import click
import torch
from torch import nn
from torch.nn import functional

from .data import Data
from .network import CHANNELS, POSITIONS, head, trunk
from .outlines import CLASSES

BATCH: Final = 64
TRUNK_RATE: Final = 4e-3
HEAD_RATE: Final = 5e-4
"""Lower than the trunk's: a logit sums 9216 weights, and a step of Adam moves them all."""
GROUND: Final = len(CLASSES)
"""The extra class of a position at which no shape stands."""


def fit(data: Data, epochs: int) -> nn.Sequential:
    """Train a network on drawings, with one cycle of the learning rate.

    A second, 1x1 head is trained beside the real one and thrown away after: at each position of the last feature map it
    predicts which shape stands there, or none. Trials with the labels alone spent most of their time finding out where
    to look. The logits are still the real head's alone.

    Args:
        data: The drawings.
        epochs: Times to go through them.

    Returns:
        Trunk and head as one module in evaluation mode.
    """
    body, top, local = trunk().to(memory_format=torch.channels_last), head(), nn.Conv2d(CHANNELS, len(CLASSES) + 1, 1)
    groups = [{"params": [*body.parameters(), *local.parameters()]}, {"params": top.parameters()}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    rounds = len(data) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=[TRUNK_RATE, HEAD_RATE], total_steps=epochs * rounds, pct_start=0.25
    )
    cells, weights = standing(data), torch.tensor([1.0] * len(CLASSES) + [0.15])
    with click.progressbar(length=epochs * rounds, label="training", file=sys.stderr) as bar:
        for _ in range(epochs):
            for rows in torch.randperm(len(data))[: rounds * BATCH].split(BATCH):
                images, wanted = _turned(data.images[rows], cells[rows])
                features = body(images.contiguous(memory_format=torch.channels_last))
                loss = functional.cross_entropy(top(features), data.labels[rows])
                loss = loss + functional.cross_entropy(local(features), wanted, weights)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update(1)
    return nn.Sequential(*body, *top).to(memory_format=torch.contiguous_format).eval()


def standing(data: Data) -> torch.Tensor:
    """Which class stands at each position of the last feature map, int64 [N, 12, 12]; ``GROUND`` where none does.

    A shape stands where it covers at least a quarter of the position's pixels.
    """
    share = functional.adaptive_avg_pool2d(data.masks.float(), POSITIONS)
    return torch.where(share >= 0.25, data.labels[:, None, None], GROUND)


def _turned(*arrays: torch.Tensor) -> list[torch.Tensor]:
    """All arrays under one of the eight symmetries of the square, at random: the set looks the same under each."""
    quarters, mirrored = int(torch.randint(4, ())), bool(torch.randint(2, ()))
    turned = [torch.rot90(array, quarters, (-2, -1)) for array in arrays]
    return [array.flip(-1) for array in turned] if mirrored else turned


def accuracy(model: nn.Module, data: Data) -> list[float]:
    """Share of each class's drawings whose largest logit is the right one."""
    with torch.inference_mode():
        found = torch.cat([model(part).argmax(1) for part in data.images.split(256)])
    right = (found == data.labels).float()
    return [float(right[data.labels == label].mean()) for label in range(len(CLASSES))]
