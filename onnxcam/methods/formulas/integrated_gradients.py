"""Integrated Gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from onnxcam.arrays import Array
from onnxcam.methods.base import Method, check_counts
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.sampling import mean_gradient
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class IntegratedGradients(Method):
    """What each input value adds to the score on the way from an empty image.

    ``L = sum_k (x_k - x0) mean_t g_k(x0 + t (x - x0))`` over the input's channels, ``0 < t < 1``, ``x0`` a constant
    image. As steps grow, the sum of the map becomes exactly ``S(x) - S(x0)``.

    Source: Sundararajan et al. 2017, eq. 1. Defaults are captum's. The paper scores each input value; summing over
    channels makes a map of that.

    Attributes:
        steps: inputs on the way, one gradient each.
        baseline: value of the empty image, in units of the input as the network receives it.
        rule: where on the way they lie and what they weigh: ``gauss-legendre``, or the ``midpoint`` of equal parts.
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

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed, in units of the score."""
        g = mean_gradient(view, self.steps, self.baseline, self.rule)
        return ((view.x - self.baseline) * g).sum(axis=1)
