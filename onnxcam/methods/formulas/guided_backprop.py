"""Guided backpropagation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array
from onnxcam.methods.base import Method
from onnxcam.methods.formulas.gradient import Gradient
from onnxcam.methods.needs import Needs
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class GuidedBackprop(Method):
    """Gradient with respect to the input that keeps only positive gradients at every ReLU.

    ``L = sum_k g_k`` over the input's channels, or ``max_k abs(g_k)``, where every ReLU propagates
    ``g_in = g_out [x > 0] [g_out > 0]``. Other activations multiply ``relu(g_out)`` by their derivative. The map is
    sharp, but depends little on the explained class: it is close to an edge detector.

    Source: Springenberg et al. 2015, sec. 3.4, for ReLU.

    Differences: treating other activations likewise, which ones they are, and the sum over channels are ours: the paper
    shows the values themselves as colours.

    Attributes:
        reduce: how channels become one map: ``sum`` is signed, ``max-abs`` is never negative.
    """

    name: ClassVar[str] = "guided-backprop"
    paper: ClassVar[str] = "springenberg2015"
    needs: ClassVar[Needs] = Needs(at="input", propagates=True)
    reduce: Literal["sum", "max-abs"] = "sum"

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: the sum over channels can, the largest absolute value cannot."""
        return self.reduce == "sum"

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *space]``, in units of the score per unit of input; negative only for ``sum``."""
        return Gradient(self.reduce)(view.x, np.asarray(view.guided()))
