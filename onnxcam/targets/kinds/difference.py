"""The score of a class minus the mean score of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from onnxcam.targets.base import Target, Tensor, written
from onnxcam.targets.kinds.class_ import Class

if TYPE_CHECKING:
    from onnxcam.graph.analysis.score import Score
    from onnxcam.targets.text import TargetText


@dataclass(frozen=True)
class Difference(Target):
    """The score of a class minus the mean score of others: what distinguishes it from them.

    Attributes:
        positive: the class, -1 for the predicted one.
        negative: the others.
        weight: of the others.
    """

    name: ClassVar[str] = "difference"

    positive: int
    negative: tuple[int, ...]
    weight: float = 1.0

    @written("A-B", "class A minus class B, each an index or label", example="3-5")
    @staticmethod
    def from_text(text: TargetText) -> list[Target] | None:
        """Return the difference at the first dash that has a class on both sides: labels may hold dashes too."""
        whole = text.whole
        for at in range(1, len(whole) - 1):
            if whole[at] != "-":
                continue
            positive, negative = text.find_class(whole[:at]), text.find_class(whole[at + 1 :])
            if positive is not None and negative is not None:
                return [Difference(positive, (negative,))]
        return None

    def describe(self) -> str:
        """Return both sides."""
        others = " and ".join(str(other) for other in self.negative)
        return f"{Class(self.positive).describe()} less {self.weight:g} times the mean of {others}"

    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return the cotangent of the class minus the weighted mean of those of the others."""
        cotangent, index = Class(self.positive).resolve(scores, score)
        cotangent = cotangent.copy()
        for other in self.negative:
            cotangent -= Class(other).resolve(scores, score)[0] * (self.weight / len(self.negative))
        return cotangent, index
