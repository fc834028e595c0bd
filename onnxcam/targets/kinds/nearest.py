"""The score of a class minus the mean score of those whose scores are nearest to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from onnxcam.errors import TargetError
from onnxcam.targets.base import Target, Tensor

if TYPE_CHECKING:
    from onnxcam.graph.analysis.score import Score


@dataclass(frozen=True)
class Nearest(Target):
    """The score of a class minus a share of the mean score of the classes whose scores are nearest to it.

    Source: Zhang et al. 2025 (Finer-CAM), with the classes whose scores are nearest as the similar ones.

    Attributes:
        of: the class, as a target.
        count: how many others; as many as there are, if there are fewer.
        weight: of their mean.
    """

    name: ClassVar[str] = "nearest"

    of: Target
    count: int
    weight: float

    def describe(self) -> str:
        """Return the class, and how many others are subtracted with which weight."""
        return f"{self.of.describe()} less {self.weight:g} times the mean of the {self.count} nearest"

    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return the cotangent of the class with an equal share of minus the weight at each of the others."""
        import numpy as np

        if score.kind != "classes":
            raise TargetError(f"{score.described}; nearest classes need one score a class")
        cotangent, index = self.of.resolve(scores, score)
        flat = scores.ravel()
        order = np.argsort(np.abs(flat - flat[index]), kind="stable")
        others = order[order != index][: self.count]
        weights = cotangent.copy().ravel()
        weights[others] = -self.weight / max(len(others), 1)
        return weights.reshape(cotangent.shape), index
