"""Group-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, relu, upsample
from onnxcam.errors import InputError
from onnxcam.methods.base import Method
from onnxcam.methods.formulas.grad_cam import GradCAM
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.blur import gaussian_blur
from onnxcam.methods.support.field_checks import check_counts, check_positive
from onnxcam.methods.support.masks import blank_score, value_range
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class GroupCAM(Method):
    """Grad-CAM of channel groups, each weighted by the probability gained when it unblurs the image.

    ``L = sum_l w_l M_l``, ``w_l = relu(p(x * M_l + b (1 - M_l)) - p(b))``, with ``b`` the blurred image. ``M_l`` is
    ``relu(sum_k mean_xy(g_k) A_k)`` over the ``l``-th group of consecutive channels, its values up to the percentile
    set to 0, and scaled so that at the image's size it reaches from 0 to 1. Groups whose map is constant are left out.

    Source: Zhang et al. 2021, and for the percentile and the blur, which the paper leaves open, the authors' code at
    revision 0b61fdd (wofmanaf/Group-CAM).

    Differences: that revision keeps negative weights, as ``weights=signed`` does; the paper's weights are positive.
    Their later revision a7290b5 has positive weights and no percentile, and sums maps that are not scaled:
    ``percentile=0,sums=unscaled``. There a group whose map is constant makes the whole map NaN.

    Attributes:
        groups: number of channel groups, as even as whole channels allow.
        percentile: of a group's map, 0 to 100; values that do not exceed it become 0. With 0 all values stay.
        weights: the ``positive`` part of the gain in probability, or the ``signed`` gain.
        sums: of ``scaled`` maps, or of ``unscaled`` ones; masks are scaled in both.
        kernel: width of the blur in pixels; odd.
        sigma: standard deviation of the blur, in pixels.
    """

    name: ClassVar[str] = "group-cam"
    paper: ClassVar[str] = "zhang2021"
    needs: ClassVar[Needs] = Needs(gradient=True)
    groups: int = 32
    percentile: float = 70.0
    weights: Literal["positive", "signed"] = "positive"
    sums: Literal["scaled", "unscaled"] = "scaled"
    kernel: int = 51
    sigma: float = 50.0

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        super().__post_init__()
        check_counts(self, "groups", "kernel")
        check_positive(self, "sigma")
        if self.kernel % 2 == 0:
            raise InputError(f"field kernel of {self.name} is {self.kernel}; it must be odd")
        if not 0 <= self.percentile <= 100:
            raise InputError(f"field percentile of {self.name} is {self.percentile}; it must lie in 0..100")

    def judged(self, view: NetworkView) -> list[Array]:
        """Return the map of each group, which is scaled afterwards."""
        terms = GradCAM().components(np.asarray(view.a), np.asarray(view.g))
        return [np.stack([self._groups(one) for one in terms])]

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed; at the image's size its positive part is the authors' map."""
        a, g = np.asarray(view.a), np.asarray(view.g)
        terms = GradCAM().components(a, g)
        maps = [self._map(view, i, terms[i]) for i in view.steps(len(a))]
        return np.stack(maps)

    def _map(self, view: NetworkView, sample: int, terms: Array) -> Array:
        masks = self._masks(terms)
        low, high = value_range(upsample(masks, view.x.shape[2:]))
        usable = (high > low).ravel()
        if not usable.any():
            return np.zeros(terms.shape[1:], terms.dtype)
        gain = self._gain(view, sample, masks[usable])
        scaled = ((masks - low)[usable]) / ((high - low)[usable])
        summed = scaled if self.sums == "scaled" else masks[usable]
        return np.tensordot(gain, summed, axes=1).astype(terms.dtype)

    def _groups(self, terms: Array) -> Array:
        """Return the sum of the terms of each group, ``[groups or fewer, *spatial]``."""
        size = -(-len(terms) // self.groups)
        starts = range(0, len(terms), size)
        return np.stack([np.sum(terms[at : at + size], axis=0) for at in starts])

    def _masks(self, terms: Array) -> Array:
        """Return the map of each group ``[groups or fewer, *spatial]``, its values up to the percentile set to 0."""
        masks = relu(self._groups(terms))
        if self.percentile == 0:
            return masks
        axes = tuple(range(1, masks.ndim))
        threshold = np.percentile(masks, self.percentile, axis=axes, keepdims=True)
        return np.where(masks > threshold, masks, np.zeros_like(masks))

    def _gain(self, view: NetworkView, sample: int, masks: Array) -> Array:
        blurred = gaussian_blur(np.asarray(view.x)[sample], self.kernel, self.sigma)
        p = view.masked_image(sample, masks, background=blurred, probability=True)
        gain = p - blank_score(view, sample, probability=True, background=blurred)
        return relu(gain) if self.weights == "positive" else gain
