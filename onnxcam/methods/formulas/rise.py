"""RISE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxcam.arrays import Array, upsample
from onnxcam.errors import InputError
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.field_checks import check_counts, check_positive
from onnxcam.methods.view import NetworkView

_MASKS = 32  # in one unit of work


@dataclass(frozen=True)
class RISE(Method):
    """Mean of random masks weighted by the target's probability for the masked image (black box).

    ``L = sum_i (p(x * m_i) - mean p) m_i / (n keep)``. A mask is a small grid of zeros and ones, enlarged by linear
    interpolation to one cell more than the image along each axis, and cropped to the image's size at a random offset of
    less than a cell. It uses nothing of the network but its output: a control for methods that do.

    Source: Petsiuk et al. 2018, sec. 3.

    Differences: the paper's map, without ``mean p``, has a high minimum, the mean probability, which the authors'
    figures hide by subtracting the minimum. The display map keeps its zero, so that the paper's would be nearly flat
    there: here the mean is subtracted unless ``centred`` is False. At a grid's edge the authors' code mirrors where
    this extends the outermost cell. All images of a batch are masked by the same masks.

    Attributes:
        count: number of masks.
        grid: cells along each axis.
        keep: probability that a cell is kept, above 0 and at most 1.
        centred: subtract the mean probability from each, so that the map is 0 where masking a position makes no
            difference; the paper does not.
        seed: of the masks.
    """

    name: ClassVar[str] = "rise"
    paper: ClassVar[str] = "petsiuk2018"
    needs: ClassVar[Needs] = Needs(at="input")
    count: int = 4000
    grid: int = 8
    keep: float = 0.5
    centred: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        super().__post_init__()
        check_counts(self, "count", "grid")
        check_positive(self, "keep")
        if self.keep > 1:
            raise InputError(f"field keep of {self.name} is {self.keep}; it must not exceed 1")

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: only if the mean probability is subtracted."""
        return self.centred

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *space]``, a probability or, centred, a difference of probabilities."""
        x = np.asarray(view.x)
        samples, size = len(x), x.shape[2:]
        grids, shifts = self._draw(size)
        weighted, plain = np.zeros((samples, *size), x.dtype), np.zeros(size, x.dtype)
        total = np.zeros(samples, x.dtype)
        for step in view.steps(samples * -(-self.count // _MASKS)):
            part, sample = divmod(step, samples)
            if sample == 0:
                chosen = slice(part * _MASKS, (part + 1) * _MASKS)
                masks = _masks(grids[chosen].astype(x.dtype), shifts[chosen], size)
                plain += masks.sum(axis=0)
            p = view.masked_image(sample, masks, rescale=False, probability=True)
            weighted[sample] += np.tensordot(p, masks, axes=1)
            total[sample] += p.sum()
        if self.centred:
            weighted -= np.multiply.outer(total / self.count, plain)
        return weighted / (self.count * self.keep)

    def _draw(self, size: tuple[int, ...]) -> tuple[Array, Array]:
        """Return grids ``[count, *cells]`` and shifts ``[count, axes]``; they depend on the seed and the size alone."""
        draw = np.random.default_rng(self.seed)
        grids = draw.random((self.count, *(self.grid for _ in size))) < self.keep
        shifts = draw.integers(0, [-(-length // self.grid) for length in size], (self.count, len(size)))
        return grids, shifts


def _masks(grids: Array, shifts: Array, size: tuple[int, ...]) -> Array:
    """Return masks ``[M, *size]`` in [0, 1]."""
    cells = grids.shape[1]
    wide = upsample(grids, [(cells + 1) * -(-length // cells) for length in size])
    cuts = [tuple(slice(at, at + length) for at, length in zip(shift, size, strict=True)) for shift in shifts]
    return np.stack([mask[cut] for mask, cut in zip(wide, cuts, strict=True)])
