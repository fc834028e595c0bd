"""LayerCAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, relu
from onnxcam.methods.base import WeightedMethod


@dataclass(frozen=True)
class LayerCAM(WeightedMethod):
    """Activations weighted by their own positive gradient, position by position.

    ``L = sum_k relu(g_k) * A_k``. Suited to layers at any depth; negative gradients never count.

    Source: Jiang et al. 2021.

    Differences: none in the raw map of one layer; the authors' code subtracts its minimum to show it. The paper's
    fusion of several layers, with tanh scaling of the early ones, is the wrapper ``fuse``.
    """

    name: ClassVar[str] = "layer-cam"
    paper: ClassVar[str] = "jiang2021"

    def components(self, a: Array, g: Array) -> Array:
        """Return the terms of the sum, negative only where activations are."""
        return relu(g) * a
