"""Integrated Gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from onnxcam.arrays import Array
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.baseline_path import mean_gradient
from onnxcam.methods.support.field_checks import check_counts
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class IntegratedGradients(Method):
    """Image minus a blank image, times the gradient averaged along the path between them.

    ``L = sum_k (x_k - x0) mean_t g_k(x0 + t (x - x0))`` over the input's channels, ``0 < t < 1``, ``x0`` a constant
    image. As steps grow, the sum of the map converges to ``S(x) - S(x0)``.

    Source: Sundararajan et al. 2017, eq. 1.

    Differences: defaults are captum's; the authors' code takes the trapezoidal rule over 50 steps. The paper scores
    each input value; summing over channels makes a map of that.

    Attributes:
        steps: number of inputs on the path, one gradient each; at least 1.
        baseline: value of the constant image, in units of the image as the network receives it.
        rule: quadrature of the mean: ``gauss-legendre``, or the ``midpoint`` of equal intervals.
    """

    name: ClassVar[str] = "integrated-gradients"
    paper: ClassVar[str] = "sundararajan2017"
    needs: ClassVar[Needs] = Needs(at="input", gradient=True)
    steps: int = 50
    baseline: float = 0.0
    rule: Literal["gauss-legendre", "midpoint"] = "gauss-legendre"

    def __post_init__(self) -> None:
        """Refuse fewer than one step."""
        super().__post_init__()
        check_counts(self, "steps")

    def judged(self, view: NetworkView) -> list[Array]:
        """Return the map of one image of those that it looks at."""
        return [replace(self, steps=1).explain(view)]

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed, in units of the score."""
        g = mean_gradient(view, self.steps, self.baseline, self.rule)
        return ((view.x - self.baseline) * g).sum(axis=1)
