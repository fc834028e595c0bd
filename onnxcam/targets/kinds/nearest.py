"""The score of a class minus the mean score of those whose scores are nearest to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from onnxcam.errors import TargetError
from onnxcam.targets.base import Target, Tensor

if TYPE_CHECKING:
    from onnxcam.graph.analysis.score import Score


@dataclass(frozen=True)
class Nearest(Target):
    """The score of a class minus a share of the mean score of the classes whose scores are nearest to it.

    Source: Zhang et al. 2025 (Finer-CAM), with the classes whose scores are nearest as the similar ones; the mean that
    is weighted by probability is that of their code. Its weights depend on the scores too: what is explained is then
    the first-order change of ``S_c - weight * sum_d q_d S_d``, ``q`` the softmax of the nearest classes' scores.

    Attributes:
        of: the class, as a target.
        count: how many others; as many as there are, if there are fewer.
        weight: of their mean.
        mean: ``plain``, or weighted by the classes' ``probability``.
    """

    name: ClassVar[str] = "nearest"

    of: Target
    count: int
    weight: float
    mean: Literal["plain", "probability"] = "plain"

    def describe(self) -> str:
        """Return the class, and how many others are subtracted with which weight."""
        weighted = ", weighted by probability" if self.mean == "probability" else ""
        return f"{self.of.describe()} less {self.weight:g} times the mean of the {self.count} nearest{weighted}"

    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return the cotangent of the class with a share of minus the weight at each of the others."""
        import numpy as np

        from onnxcam.arrays import softmax

        if score.kind != "classes":
            raise TargetError(f"{score.described}; nearest classes need one score a class")
        cotangent, index = self.of.resolve(scores, score)
        flat = scores.ravel()
        order = np.argsort(np.abs(flat - flat[index]), kind="stable")
        others = order[order != index][: self.count]
        weights = cotangent.copy().ravel()
        weights[others] = -self.weight / max(len(others), 1)
        if self.mean == "probability" and len(others):
            # The gradient of sum_d q_d S_d, whose q are a softmax of the same scores.
            values = flat[others].astype(np.float64)
            q = softmax(values[None])[0]
            weights[others] = -self.weight * q * (1 + values - q @ values)
        return weights.reshape(cotangent.shape), index
