"""HiResCAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array
from onnxcam.methods.base import WeightedMethod


@dataclass(frozen=True)
class HiResCAM(WeightedMethod):
    """Gradient times activation at each position, summed over channels: what the model used, and where.

    ``L = sum_k g_k * A_k``. Where one linear layer follows, ``sum(L) + bias`` is the score itself.

    Source: Draelos & Carin 2021, eq. 4.

    Differences: none. The raw map keeps its sign, as in the authors' code; only the display map applies relu.
    """

    name: ClassVar[str] = "hires-cam"
    paper: ClassVar[str] = "draelos2021"

    def components(self, a: Array, g: Array) -> Array:
        """Return the terms of the sum, signed, in units of the score."""
        return g * a
