"""CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array, spatial
from onnxcam.methods.base import WeightedMethod
from onnxcam.methods.needs import Needs


@dataclass(frozen=True)
class CAM(WeightedMethod):
    """Feature maps weighted by the class's weights in the linear layer after global average pooling.

    ``L = sum_k (sum_xy g_k) A_k``. After global average pooling and a linear layer ``W`` the gradient is
    ``W[c,k] / Z`` at each of the ``Z`` positions, so that this is exactly the paper's ``sum_k W[c,k] A_k``, without a
    search of the file for ``W``. With any other head the sum has no such meaning: use Grad-CAM or HiResCAM there.

    Source: Zhou et al. 2016, eq. 2. The bias of the linear layer is left out, as in the paper.

    Differences: none in the raw map; the authors' code subtracts its minimum to show it.
    """

    name: ClassVar[str] = "cam"
    paper: ClassVar[str] = "zhou2016"
    needs: ClassVar[Needs] = Needs(gradient=True, head="gap-linear")

    def components(self, a: Array, g: Array) -> Array:
        """Return the terms of the sum; their mean over positions plus the bias is the score."""
        xp = a.__array_namespace__()
        w = xp.sum(g, axis=spatial(g), keepdims=True)
        return w * a
