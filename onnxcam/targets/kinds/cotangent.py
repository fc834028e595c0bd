"""Any linear function of the scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from onnxcam.errors import TargetError
from onnxcam.targets.base import Target, Tensor, digest

if TYPE_CHECKING:
    from onnxcam.graph.analysis.score import Score


@dataclass(frozen=True, eq=False)
class Cotangent(Target):
    """Any linear function of the scores.

    Attributes:
        array: its coefficients, of the scores' shape without the batch axis.
        index: the class to report.
    """

    name: ClassVar[str] = "cotangent"

    array: Tensor
    index: int = 0

    def describe(self) -> str:
        """Return a hash of the coefficients."""
        return f"cotangent {digest(self.array)}"

    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return the coefficients as they are."""
        if self.array.size == scores.size == 1:
            return self.array.reshape(scores.shape), self.index
        if self.array.shape != scores.shape:
            raise TargetError(
                f"a cotangent of shape {self.array.shape} does not fit scores of shape {scores.shape}; "
                "give one coefficient a score"
            )
        return self.array, self.index
