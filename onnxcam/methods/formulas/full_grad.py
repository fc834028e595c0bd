"""FullGrad."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, upsample
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.view import NetworkView

# Places that differ by less than this share of the largest are equal to rounding; scaled they would be noise, 0 to 1.
_FLAT = 1e-6


@dataclass(frozen=True)
class FullGrad(Method):
    """Everything that makes up the score: input times gradient, and each bias times gradient where it is added.

    ``L = sum_k psi(x_k g_k) + sum_sites sum_k psi(b_k g_k)``, ``psi`` the absolute value of one channel, scaled to
    minimum 0 and maximum 1, at the input's size. Without ``psi`` the sum of everything is exactly the score, wherever
    the network is piecewise linear.

    Source: Srinivas & Fleuret 2019, eq. 4, with every channel scaled by itself as the equation has it and as
    ``FullGrad`` of pytorch-grad-cam does; the authors' code scales all channels of a site together. Biases without
    places, those of linear layers behind the pooling, are part of the score and of no map.

    Attributes:
        form: ``rescaled`` as in the paper, or ``signed``: shares of the score as they are, each spread evenly over the
            input's places that it covers.
    """

    name: ClassVar[str] = "full-grad"
    paper: ClassVar[str] = "srinivas2019"
    needs: ClassVar[Needs] = Needs(at="input", reads="biases", gradient=True)
    form: Literal["rescaled", "signed"] = "rescaled"

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: the shares of the score can, their absolute values cannot."""
        return self.form == "signed"

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]`` at the input's size; in units of the score if signed."""
        size = view.x.shape[2:]
        total = np.zeros((view.x.shape[0], *size), view.x.dtype)
        for share in contributions(view):
            if share.ndim == view.x.ndim:
                # Resizing is linear: channels are summed while the map is small.
                seen = share if self.signed else _rescaled(share)
                scale = prod(share.shape[2:]) / prod(size) if self.signed else 1.0
                total += scale * upsample(seen.sum(axis=1), size)
        return total


def contributions(view: NetworkView) -> list[Array]:
    """Return the shares of the score of the input ``[N, C, *space]`` and of each bias ``[N, K, *spatial]``."""
    shares = [view.x * view.g]
    shares += [site.g * np.reshape(site.bias, (1, -1) + (1,) * (site.g.ndim - 2)) for site in view.biases()]
    return shares


def _rescaled(share: Array) -> Array:
    """Return the absolute values of each channel brought to minimum 0 and maximum 1; a constant channel becomes 0."""
    places = tuple(range(2, share.ndim))
    size = np.abs(share)
    low, high = size.min(axis=places, keepdims=True), size.max(axis=places, keepdims=True)
    flat = high - low <= _FLAT * high
    return np.where(flat, 0, (size - low) / np.where(flat, 1, high - low))
