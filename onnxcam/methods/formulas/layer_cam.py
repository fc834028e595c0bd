"""LayerCAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, relu
from onnxcam.methods.base import WeightedMethod


@dataclass(frozen=True)
class LayerCAM(WeightedMethod):
    """Activations weighted by their own positive gradient, place by place.

    ``L = sum_k relu(g_k) * A_k``. Made for layers of any depth; negative gradients never count.

    Source: Jiang et al. 2021. One layer: the paper's fusion of several, with tanh scaling of the shallow ones, is not
    part of the formula.
    """

    name: ClassVar[str] = "layer-cam"
    paper: ClassVar[str] = "jiang2021"

    def components(self, a: Array, g: Array) -> Array:
        """Return the terms of the sum, negative only where activations are."""
        return relu(g) * a
