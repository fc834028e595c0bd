"""FG-CAM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, Maps, spatial
from onnxcam.methods.formulas.grad_cam import GradCAM
from onnxcam.methods.formulas.score_cam import ScoreCAM
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.propagating import PropagatingMethod, total
from onnxcam.methods.view import NetworkView
from onnxcam.relevance.composite import Composite

_RULES = "fine-grained"
# Fraction of the singular values that is kept.
_KEPT = 0.1


@dataclass(frozen=True)
class FGCAM(PropagatingMethod):
    """A CAM refined to an earlier layer or to the pixels, by propagating its terms as relevance.

    ``L = sum_k R_k``, ``R`` the relevance at the earlier layer, propagated from ``I_k = w_k A_k`` at the layer: the
    terms of the base CAM, neither summed over channels nor rectified. Convolutions propagate by z+ without bias, the
    first one by z^B with the image's own minimum and maximum, pooling in proportion to positive values, sums in
    proportion. At the layer itself the map is that of the base. Relevance of a unit to which no input contributes (it
    is active by its bias alone) is lost. Where units sum many inputs this is next to nothing; in a chain of depthwise
    convolutions it is most of the relevance. With ``spread`` nothing is lost. Padding, as that of a layer itself, takes
    no share, and a constant other than 0 that is padded counts as a bias.

    Source: Qiu et al. 2023, whose code is for VGG.

    Differences: sums of two branches, dense layers (z+) and all operators that VGG does not have are our extension.
    Batch normalisation is folded into convolutions first, where the code passes relevance through it unchanged: the
    same for positive scales, and one map for both ways of exporting a network. With ``denoise`` the code keeps nothing
    of fewer than ten channels or positions.

    Attributes:
        base: which method gives the weights ``w``: ``grad-cam`` or ``score-cam``.
        denoise: subtract each channel's mean from ``I`` and keep a tenth of its singular values, at least one. The
            sum of the map is then no longer that of the base.
        spread: distribute the relevance of a unit to which no input contributes evenly over its inputs, padding left
            out, so that nothing is lost; an addition to the paper.
        to: where the map ends: ``input``, or a layer before the explained one, by name or by index.
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
    def initial_relevance(self) -> Literal["terms"] | None:
        """``terms`` if the base is Grad-CAM and its terms are not denoised, else None."""
        return "terms" if self.needs.gradient and not self.denoise else None

    @property
    def origin(self) -> str:
        """The base's map, whose terms relevance starts as."""
        return "the base map's total"

    @property
    def remedy(self) -> str:
        """Spreading keeps all of it."""
        return "use grad-cam at its layer" if self.spread else "set spread=true"

    def arrival(self, view: NetworkView, raw: Maps) -> tuple[Array, Array] | None:
        """Return the totals of the base's map and of this one; None if Score-CAM's or denoised, which are not kept."""
        return (total(self.terms(view)), total(raw)) if self.initial_relevance == "terms" else None

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]`` at the size of the layer where it ends, signed, in units of the base's map."""
        terms = self.terms(view)
        found = view.relevance(self.rules, self._denoised(terms), of="layer", to=self.end)
        return found.sum(axis=1)

    def terms(self, view: NetworkView) -> Array:
        """Return each channel's term of the base's map, ``[N, K, *spatial]``."""
        a = np.asarray(view.a)
        if self.base == "score-cam":
            w = ScoreCAM().weights(view)
            return w.reshape(*w.shape, *[1] * len(spatial(a))) * a
        return GradCAM().components(a, view.g)

    def _denoised(self, terms: Array) -> Array:
        return np.stack([denoised(one) for one in terms]) if self.denoise else terms


def denoised(terms: Array) -> Array:
    """Return terms ``[K, *spatial]`` minus each channel's mean, reduced to their largest singular values."""
    flat = terms.reshape(len(terms), -1)
    u, scale, v = np.linalg.svd(flat - flat.mean(axis=1, keepdims=True), full_matrices=False)
    kept = max(1, int(_KEPT * len(scale)))
    return np.asarray((u[:, :kept] * scale[:kept]) @ v[:kept], terms.dtype).reshape(terms.shape)
