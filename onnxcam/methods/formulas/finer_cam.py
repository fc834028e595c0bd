"""Finer-CAM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from onnxcam.arrays import Array
from onnxcam.methods.base import Method, check_counts
from onnxcam.methods.needs import Contrast, Needs
from onnxcam.methods.nested import BasedMethod
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class FinerCAM(BasedMethod):
    """What tells a class from the classes that look most like it: any gradient method of the difference.

    ``L = base(S_c - alpha mean_d S_d)`` over the ``count`` classes whose scores are nearest to that of the class.

    Source: Zhang et al. 2025. The mean is plain; pytorch-grad-cam weights the classes by their probability.

    Attributes:
        base: name of the gradient method, or the method itself.
        alpha: how much of the others' mean score is taken away; torch-cam has 0.6, pytorch-grad-cam 1.
        count: of the classes that are nearest.
    """

    name: ClassVar[str] = "finer-cam"
    paper: ClassVar[str] = "zhang2025"
    base: str | Method = "grad-cam"
    alpha: float = 0.6
    count: int = 3

    def __post_init__(self) -> None:
        """Refuse a base that explains no class, or that is itself a contrast."""
        super().__post_init__()
        check_counts(self, "count")
        self.refuse(not self.inner.needs.gradient, "explains no class in particular")
        self.refuse(self.inner.needs.contrast is not None, "is a contrast of classes itself")

    @property
    def needs(self) -> Needs:
        """What the base needs, of the difference between the class and its nearest classes."""
        return replace(super().needs, contrast=Contrast(self.count, self.alpha))

    def explain(self, view: NetworkView) -> Array:
        """Return the base's map: the score of the view is the difference already."""
        return self.inner.explain(view)
