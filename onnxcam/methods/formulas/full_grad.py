"""FullGrad."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, upsample
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.masks import scale_to_unit
from onnxcam.methods.view import NetworkView

# Values that differ by less than this fraction of their maximum are equal to rounding; scaled they would be noise.
_FLAT = 1e-6


@dataclass(frozen=True)
class FullGrad(Method):
    """Input times gradient plus each bias times its gradient: all terms that make up the score.

    ``L = sum_k psi(x_k g_k) + sum_sites sum_k psi(b_k g_k)``, ``psi`` the absolute value of one channel, scaled to
    minimum 0 and maximum 1, at the input's size. Without ``psi`` the sum of all terms is exactly the score.

    Biases are those of layers, and the implicit ones of all operators that are not linear, ``b = f(x) - f'(x) x``: what
    a clipped unit is held at, the curve of a smooth activation, the product of two values, rounding. ReLU, leaky ReLU
    and pools have none. Element-wise operators that follow each other count as one, so that an activation gives the
    same however a file writes it; of an operator that mixes positions, such as a normalisation, a position counts with
    ``g y - g x``.

    Biases without spatial positions are part of the score and of no map: of linear layers after the pooling, of tokens,
    of attention, of integer operators. The function ``contributions`` in the module of this method gives their sum too.

    Source: Srinivas & Fleuret 2019, eq. 4, with every channel scaled by itself as in the equation and in ``FullGrad``
    of pytorch-grad-cam.

    Differences: the authors' code scales all channels of a layer together, and aligns corners when it enlarges them. It
    and pytorch-grad-cam read the biases of layers alone, which sum to the score only where every activation is a ReLU.

    Attributes:
        form: ``rescaled`` as in the paper, or ``signed``: the terms as they are, in units of the score, each spread
            evenly over the input positions that it covers.
    """

    name: ClassVar[str] = "full-grad"
    paper: ClassVar[str] = "srinivas2019"
    needs: ClassVar[Needs] = Needs(at="input", reads="biases", gradient=True)
    form: Literal["rescaled", "signed"] = "rescaled"

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: the terms of the score can, their absolute values cannot."""
        return self.form == "signed"

    def judged(self, view: NetworkView) -> list[Array]:
        """Return the map if it is signed: absolute values cannot cancel."""
        return super().judged(view) if self.signed else []

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]`` at the input's size; in units of the score if signed."""
        size = view.x.shape[2:]
        total = np.zeros((view.x.shape[0], *size), view.x.dtype)
        for term in (view.a * view.g, *view.bias_terms()):
            # Resizing is linear: channels are summed while the map is small.
            values = term if self.signed else scale_to_unit(np.abs(term), first=2, tolerance=_FLAT)
            scale = prod(term.shape[2:]) / prod(size) if self.signed else 1.0
            total += scale * upsample(values.sum(axis=1), size)
        return total


def contributions(view: NetworkView) -> list[Array]:
    """Return the terms of the score, which they sum to.

    Of the input ``[N, C, *space]``, of each bias with positions ``[N, K, *spatial]``, and of all others together
    ``[N]``.
    """
    return [view.a * view.g, *view.bias_terms(), view.bias_rest()]
