"""Drawings in numbers that the network takes."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

import click
import numpy as np
import torch
from numpy.typing import NDArray

from .draw import draw

SCALE: Final = 1 / 255
MEAN: Final = (0.5, 0.5, 0.5)
STD: Final = (0.25, 0.25, 0.25)


@dataclass(frozen=True)
class Data:
    """Many drawings.

    Attributes:
        images: float32 [N, 3, 96, 96], preprocessed.
        labels: int64 [N].
        masks: bool [N, 96, 96].
    """

    images: torch.Tensor
    labels: torch.Tensor
    masks: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


def preprocess(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels, uint8 [N, 96, 96, 3] -> the network's input, float32 [N, 3, 96, 96]."""
    scaled = (images * np.float32(SCALE) - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32)


def drawings(seeds: Sequence[int], doing: str) -> Data:
    """Draw many seeds on all processors.

    Args:
        seeds: What to draw.
        doing: The progress bar's label, on stderr.

    Returns:
        The drawings, in the order of the seeds.
    """
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        drawn = pool.map(draw, seeds, chunksize=64)
        with click.progressbar(drawn, len(seeds), doing, file=sys.stderr) as bar:
            done = list(bar)
    return Data(
        torch.from_numpy(preprocess(np.stack([one.image for one in done]))),
        torch.tensor([one.label for one in done]),
        torch.from_numpy(np.stack([one.mask for one in done])),
    )
