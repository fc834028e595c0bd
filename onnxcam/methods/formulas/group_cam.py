"""Group-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, relu, spatial, upsample
from onnxcam.errors import InputError
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.blur import gaussian_blur
from onnxcam.methods.support.channels import require_positive
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class GroupCAM(Method):
    """Parts of Grad-CAM weighted by what each, shown on a blurred image, adds to the probability of the target.

    ``L = sum_l w_l M_l``, ``w_l = relu(p(x * M_l + b (1 - M_l)) - p(b))``, with ``b`` the blurred image. ``M_l`` is
    ``relu(sum_k mean_xy(g_k) A_k)`` over the ``l``-th run of neighbouring channels, without its smaller values, and
    scaled so that at the image's size it reaches from 0 to 1. Groups whose map is constant are left out.

    Source: Zhang et al. 2021, and the authors' code for what the paper leaves open: the percentile and the blur. The
    code keeps negative weights: ``signed``.

    Attributes:
        groups: of channels, as even as whole channels allow.
        percentile: of a group's map; values that do not exceed it become 0.
        weights: the ``positive`` part of the gain in probability, or the ``signed`` gain.
        kernel: places that the blur averages along an axis; odd.
        sigma: standard deviation of the blur, in pixels.
    """

    name: ClassVar[str] = "group-cam"
    paper: ClassVar[str] = "zhang2021"
    needs: ClassVar[Needs] = Needs(gradient=True)
    groups: int = 32
    percentile: float = 70.0
    weights: Literal["positive", "signed"] = "positive"
    kernel: int = 51
    sigma: float = 50.0

    def __post_init__(self) -> None:
        """Refuse groups, kernels and percentiles that are none."""
        super().__post_init__()
        require_positive(self, "groups", "kernel", "sigma")
        if self.kernel % 2 == 0:
            raise InputError(f"field kernel of {self.name} is {self.kernel}; it must be odd")
        if not 0 <= self.percentile <= 100:
            raise InputError(f"field percentile of {self.name} is {self.percentile}; it must lie in 0..100")

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed; at the image's size its positive part is the authors' map."""
        a, g = np.asarray(view.a), np.asarray(view.g)
        contributions = np.mean(g, axis=spatial(g), keepdims=True) * a
        maps = [self._map(view, i, contributions[i]) for i in view.steps(len(a))]
        return np.stack(maps)

    def _map(self, view: NetworkView, sample: int, contributions: Array) -> Array:
        masks = self._masks(contributions)
        axes = tuple(range(1, masks.ndim))
        wide = upsample(masks, view.x.shape[2:])
        low, high = (bound(wide, axis=axes, keepdims=True) for bound in (np.min, np.max))
        usable = (high > low).ravel()
        if not usable.any():
            return np.zeros(contributions.shape[1:], contributions.dtype)
        gain = self._gain(view, sample, masks[usable])
        scaled = ((masks - low)[usable]) / ((high - low)[usable])
        return np.tensordot(gain, scaled, axes=1).astype(contributions.dtype)

    def _masks(self, contributions: Array) -> Array:
        """Return the map of each group ``[groups or fewer, *spatial]``."""
        size = -(-len(contributions) // self.groups)
        starts = range(0, len(contributions), size)
        masks = relu(np.stack([np.sum(contributions[at : at + size], axis=0) for at in starts]))
        axes = tuple(range(1, masks.ndim))
        threshold = np.percentile(masks, self.percentile, axis=axes, keepdims=True)
        return np.where(masks > threshold, masks, np.zeros_like(masks))

    def _gain(self, view: NetworkView, sample: int, masks: Array) -> Array:
        blurred = gaussian_blur(np.asarray(view.x)[sample], self.kernel, self.sigma)
        nothing = np.zeros((1, *blurred.shape[1:]), blurred.dtype)
        before = view.masked_image(sample, nothing, background=blurred, rescale=False, probability=True)
        gain = view.masked_image(sample, masks, background=blurred, probability=True) - before
        return relu(gain) if self.weights == "positive" else gain
