"""Integrated Grad-CAM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from onnxcam.arrays import Array
from onnxcam.methods.base import Method
from onnxcam.methods.formulas.grad_cam import GradCAM
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.baseline_path import mean_gradient
from onnxcam.methods.support.field_checks import check_counts
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class IntegratedGradCAM(Method):
    """Grad-CAM with gradients averaged along a path from a blank image to the image.

    ``L = sum_k w_k (A_k - A_k(x0))``, ``w_k`` the mean of ``g_k`` over positions and over the inputs ``x0 + t (x -
    x0)``, ``0 < t < 1``. ``x0`` is a constant image.

    Source: Sattarzadeh et al. 2021.

    Differences: the paper multiplies and applies relu step by step; here gradients are averaged first, as in Integrated
    Gradients, and the raw map keeps its sign. Steps lie in the middle of equal intervals.

    Attributes:
        steps: number of inputs on the path, at least 1.
        baseline: value of the constant image, in units of the image as the network receives it.
    """

    name: ClassVar[str] = "integrated-grad-cam"
    paper: ClassVar[str] = "sattarzadeh2021"
    needs: ClassVar[Needs] = Needs(gradient=True)
    steps: int = 20
    baseline: float = 0.0

    def __post_init__(self) -> None:
        """Refuse fewer than one step."""
        super().__post_init__()
        check_counts(self, "steps")

    def judged(self, view: NetworkView) -> list[Array]:
        """Return the map of one image of those that it looks at."""
        return [replace(self, steps=1).explain(view)]

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed, in units of the score."""
        g = mean_gradient(view, self.steps, self.baseline)
        added = view.a - view.with_images(np.full_like(view.x, self.baseline)).a
        return GradCAM()(added, g)
