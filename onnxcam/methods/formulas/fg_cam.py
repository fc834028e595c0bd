"""FG-CAM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, spatial
from onnxcam.methods.formulas.score_cam import ScoreCAM
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.propagating import PropagatingMethod
from onnxcam.methods.view import NetworkView
from onnxcam.relevance.composite import Composite

_RULES = "fine-grained"
# Of the singular values, this share is kept.
_KEPT = 0.1


@dataclass(frozen=True)
class FGCAM(PropagatingMethod):
    """A CAM's terms taken down from its layer to a finer one, or to the pixels.

    ``L = sum_k R_k``, ``R`` the relevance at the finer layer that begins as ``I_k = w_k A_k`` at the layer: the base
    CAM's terms, neither summed nor rectified. Convolutions pass it on by z+ without bias, the first one by z^B with
    the image's own least and largest value, pools in proportion to what is positive, sums in proportion. At the layer
    itself the map is that of the base. What lies on a unit to which nothing contributes, because its bias alone turns
    it on, is lost: next to nothing where many inputs meet, most of it along a chain of depthwise convolutions. With
    ``spread`` nothing is.

    Source: Qiu et al. 2023, whose code is for VGG. Sums of two branches, dense layers (z+)
    and all operators that VGG has not are our extension. Normalisations are folded into convolutions first, where the
    code passes them unchanged: the same for positive scales, and then one map for both ways of exporting a network.

    Attributes:
        base: where the weights ``w`` come from: ``grad-cam`` or ``score-cam``.
        denoise: subtract each channel's mean from ``I`` and keep a tenth of its singular values, at least one. The
            sum of the map is then no score.
        spread: hand what lies on a unit to which nothing contributes evenly to all that the unit reads, so that nothing
            is lost; not the paper's.
        to: where the map ends: ``input``, or a layer before the one that is explained, by name or by index.
    """

    name: ClassVar[str] = "fg-cam"
    paper: ClassVar[str] = "qiu2023"
    base: Literal["grad-cam", "score-cam"] = "grad-cam"
    denoise: bool = False
    spread: bool = False

    @property
    def needs(self) -> Needs:
        """The gradient at the layer for the weights of Grad-CAM, and relevance propagated from there to its end."""
        return replace(super().needs, gradient=self.base == "grad-cam")

    @property
    def rules(self) -> Composite:
        """The rules of the paper: z+ without biases, z^B at the input."""
        return replace(Composite.parse(_RULES), spread=self.spread)

    @property
    def begins(self) -> Literal["terms"] | None:
        """Grad-CAM's terms, unless they are denoised or those of another base."""
        return "terms" if self.needs.gradient and not self.denoise else None

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]`` at the size of the layer where it ends, signed, in units of the base."""
        terms = self.terms(view)
        found = view.relevance(self.rules, self._denoised(terms), of="layer", to=self.end)
        return found.sum(axis=1)

    def terms(self, view: NetworkView) -> Array:
        """Return each channel's share of the base's map, ``[N, K, *spatial]``."""
        a = np.asarray(view.a)
        if self.base == "score-cam":
            w = ScoreCAM().weights(view)
            return w.reshape(*w.shape, *[1] * len(spatial(a))) * a
        return np.mean(view.g, axis=spatial(a), keepdims=True) * a

    def _denoised(self, terms: Array) -> Array:
        return np.stack([denoised(one) for one in terms]) if self.denoise else terms


def denoised(terms: Array) -> Array:
    """Return terms ``[K, *spatial]`` less each channel's mean, as far as their largest singular values tell."""
    flat = terms.reshape(len(terms), -1)
    u, scale, v = np.linalg.svd(flat - flat.mean(axis=1, keepdims=True), full_matrices=False)
    kept = max(1, int(_KEPT * len(scale)))
    return np.asarray((u[:, :kept] * scale[:kept]) @ v[:kept], terms.dtype).reshape(terms.shape)
