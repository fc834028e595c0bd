"""A number of one detection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from onnxcam.errors import TargetError
from onnxcam.targets.base import PREDICTED, Target, Tensor, check_choice, nth_highest, written

if TYPE_CHECKING:
    from onnxcam.graph.analysis.score import Score
    from onnxcam.targets.text import TargetText


@dataclass(frozen=True)
class Box(Target):
    """A number of one detection.

    Attributes:
        index: the box, -1 for the one with the highest score.
        value: which of its numbers; None for its highest score. Where a box has more than four numbers, of which the
            model makes no probabilities, and boxes are no output of their own, the first four are taken for its
            coordinates and the others for scores.
        rank: of boxes by score, how many come before this one.
    """

    name: ClassVar[str] = "box"

    index: int = PREDICTED
    value: int | None = None
    rank: int = 0

    def __post_init__(self) -> None:
        """Refuse an index or a rank that counts from the end."""
        check_choice("box", self.index, self.rank)

    @written("box:INDEX[:VALUE]", "a detection: its highest score, or one of its numbers", example="box:12:5")
    @staticmethod
    def from_text(text: TargetText) -> list[Target]:
        """Return the box of one or two integers."""
        numbers = [text.number(part) for part in text.argument.split(":")]
        if len(numbers) > 2:
            raise TargetError(f"target '{text.whole}' has too many parts; write box:INDEX or box:INDEX:VALUE")
        return [Box(*numbers)]

    def describe(self) -> str:
        """Return box and value."""
        name = f"box {self.index}" if self.index >= 0 else f"box of rank {self.rank + 1}"
        return name if self.value is None else f"{name}, value {self.value}"

    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return a cotangent of 1 at that number."""
        import numpy as np

        if score.kind != "boxes":
            raise TargetError(f"{score.described}, not the values of boxes; name a class")
        detections = np.moveaxis(scores, score.box_axis - 1, 0)
        boxes, values = detections.shape
        if self.index >= boxes or (self.value is not None and not 0 <= self.value < values):
            raise TargetError(f"{self.describe()} does not exist: there are {boxes} boxes of {values} values")
        first = score.coordinates
        rated = detections[:, first:] if self.value is None else detections[:, self.value, None]
        index = self.index if self.index >= 0 else nth_highest(rated.max(axis=1), self.rank)
        value = first + int(rated[index].argmax()) if self.value is None else self.value
        cotangent = np.zeros_like(detections)
        cotangent[index, value] = 1
        return np.moveaxis(cotangent, 0, score.box_axis - 1), index
