"""Gradient saliency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from onnxcam.arrays import Array
from onnxcam.methods.base import GradientMethod
from onnxcam.methods.needs import Needs


@dataclass(frozen=True)
class Gradient(GradientMethod):
    """Gradient of the score with respect to the input (saliency map).

    ``L = max_k abs(g_k)`` over the input's channels, or ``sum_k g_k``.

    Source: Simonyan et al. 2014, sec. 3, for the maximum of absolute values.

    Differences: the sum is a signed variant in common use, which the paper does not have.

    Attributes:
        reduce: how channels become one map: ``max-abs`` is never negative, ``sum`` is signed.
    """

    name: ClassVar[str] = "gradient"
    paper: ClassVar[str] = "simonyan2014"
    needs: ClassVar[Needs] = Needs(at="input", gradient=True)
    reduce: Literal["max-abs", "sum"] = "max-abs"

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: the sum over channels can, the largest absolute value cannot."""
        return self.reduce == "sum"

    def __call__(self, a: Array, g: Array) -> Array:
        """Return ``[N, *spatial]``, in units of the score per unit of input; negative only for ``sum``."""
        xp = g.__array_namespace__()
        return xp.sum(g, axis=1) if self.reduce == "sum" else xp.max(xp.abs(g), axis=1)
