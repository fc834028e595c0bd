"""Finer-CAM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from onnxcam.arrays import Array
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Contrast, Needs
from onnxcam.methods.nested import BasedMethod
from onnxcam.methods.support.field_checks import check_counts
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class FinerCAM(BasedMethod):
    """What sets a class apart from the most similar classes: a CAM of the difference of their scores.

    ``L = base(S_c - alpha mean_d S_d)`` over the ``count`` classes whose scores are nearest to that of the class.

    Source: Zhang et al. 2025: the plain mean over three classes, with the comparison strength 0.6.

    Differences: the authors' own code (Imageomics/Finer-CAM, and their contribution to pytorch-grad-cam) weights the
    classes by their probability and has the strength 1: ``alpha=1,weights=probability``. There and here, these weights
    are differentiated too. The difference is then not linear in the scores; a base that needs more than the gradient at
    the image uses the linear approximation at the image. The code's 1e-9 in the denominator is left out, and any class
    can be explained. torch-cam follows the paper, as this does.

    Attributes:
        base: the gradient method that is applied to the difference: its name, or the method itself.
        alpha: factor of the other classes' mean score.
        count: number of nearest classes, at least 1.
        weights: of these classes: all the same (``mean``), or their ``probability``.
    """

    name: ClassVar[str] = "finer-cam"
    paper: ClassVar[str] = "zhang2025"
    base: str | Method = "grad-cam"
    alpha: float = 0.6
    count: int = 3
    weights: Literal["mean", "probability"] = "mean"

    def __post_init__(self) -> None:
        """Refuse a base that is class-agnostic, or that compares classes itself."""
        super().__post_init__()
        check_counts(self, "count")
        self.refuse(not self.inner.needs.gradient, "is class-agnostic")
        self.refuse(self.inner.needs.contrast is not None, "compares classes itself")

    @property
    def needs(self) -> Needs:
        """What the base needs, of the difference between the class and its nearest classes."""
        mean: Literal["plain", "probability"] = "probability" if self.weights == "probability" else "plain"
        return replace(super().needs, contrast=Contrast(self.count, self.alpha, mean))

    def explain(self, view: NetworkView) -> Array:
        """Return the base's map: the score of the view is the difference already, because ``needs`` says so."""
        return self.inner.explain(view)
