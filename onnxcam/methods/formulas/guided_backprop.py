"""Guided backpropagation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array
from onnxcam.methods.base import Method
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class GuidedBackprop(Method):
    """Input values that would raise the score through units that all speak for it.

    ``L = sum_k g_k`` over the input's channels, or ``max_k abs(g_k)``, where at every ReLU the gradient goes on as
    ``g_in = g_out [x > 0] [g_out > 0]``. Other activations multiply ``relu(g_out)`` by their derivative. Sharp, but
    hardly a matter of the explained class: close to a drawing of the image's edges.

    Source: Springenberg et al. 2015, sec. 3.4, for ReLU. Treating other activations likewise, which ones they are and
    the sum over channels are ours: the paper shows the values themselves as colours.

    Attributes:
        reduce: how channels become one map: ``sum`` is signed, ``max-abs`` is never negative.
    """

    name: ClassVar[str] = "guided-backprop"
    paper: ClassVar[str] = "springenberg2015"
    at: ClassVar[Literal["layer", "input"]] = "input"
    reduce: Literal["sum", "max-abs"] = "sum"

    @property
    def signed(self) -> bool:
        """Only the sum is."""
        return self.reduce == "sum"

    @property
    def walks_back(self) -> bool:
        """Yes, by rules of its own."""
        return True

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *space]``, in units of the score per unit of input; negative only for ``sum``."""
        g = np.asarray(view.guided())
        return g.sum(axis=1) if self.reduce == "sum" else np.abs(g).max(axis=1)
