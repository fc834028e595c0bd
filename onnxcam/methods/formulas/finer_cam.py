"""Finer-CAM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

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

    Source: Zhang et al. 2025. The mean is unweighted; pytorch-grad-cam weights the classes by their probability.

    Attributes:
        base: the gradient method that is applied to the difference: its name, or the method itself.
        alpha: factor of the other classes' mean score; torch-cam has 0.6, pytorch-grad-cam 1.
        count: number of nearest classes, at least 1.
    """

    name: ClassVar[str] = "finer-cam"
    paper: ClassVar[str] = "zhang2025"
    base: str | Method = "grad-cam"
    alpha: float = 0.6
    count: int = 3

    def __post_init__(self) -> None:
        """Refuse a base that is class-agnostic, or that compares classes itself."""
        super().__post_init__()
        check_counts(self, "count")
        self.refuse(not self.inner.needs.gradient, "is class-agnostic")
        self.refuse(self.inner.needs.contrast is not None, "compares classes itself")

    @property
    def needs(self) -> Needs:
        """What the base needs, of the difference between the class and its nearest classes."""
        return replace(super().needs, contrast=Contrast(self.count, self.alpha))

    def explain(self, view: NetworkView) -> Array:
        """Return the base's map: the score of the view is the difference already, because ``needs`` says so."""
        return self.inner.explain(view)
