"""The score of a class, at one position or averaged over a region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from onnxcam.errors import TargetError
from onnxcam.targets.base import PREDICTED, Target, Tensor, check_choice, digest, nth_highest, written
from onnxcam.targets.kinds.box import Box

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from onnxcam.graph.analysis.score import Score
    from onnxcam.targets.text import TargetText


# More classes than any model has: a larger K would fill the memory with targets before a model could refuse it.
_MOST_TOP = 100_000


@dataclass(frozen=True, eq=False)
class Class(Target):
    """The score of a class; where scores are dense, its mean over a region.

    Attributes:
        index: the class, or -1 for the predicted one: the highest score, or the class of most positions. Of boxes, the
            box with the highest score.
        mask: bool, of the scores' spatial shape or of any other, which is then scaled to it. Without one, the positions
            where the class is predicted, or all positions if there are none.
        rank: of predicted classes, how many come before this one.
    """

    name: ClassVar[str] = "class"

    index: int = PREDICTED
    mask: npt.NDArray[np.bool_] | None = None
    rank: int = 0

    def __post_init__(self) -> None:
        """Refuse an index or a rank that counts from the end."""
        check_choice("class", self.index, self.rank)

    @written("INDEX", "a class by index", example="3")
    @staticmethod
    def from_index(text: TargetText) -> list[Target] | None:
        """Return the class of an integer; None for other texts."""
        return [Class(text.class_index(text.whole))] if text.is_integer(text.whole) else None

    @written("LABEL", "a class by name", example="tabby")
    @staticmethod
    def from_label(text: TargetText) -> list[Target] | None:
        """Return the class of that name; None for an integer."""
        return None if text.is_integer(text.whole) else [Class(text.class_index(text.whole))]

    @written("predicted", "the class with the highest score", example="predicted")
    @staticmethod
    def from_prediction(text: TargetText) -> list[Target]:
        """Return the predicted class."""
        return [Class()]

    @written("top:K", "each of the K classes with the highest scores", example="top:3")
    @staticmethod
    def from_top(text: TargetText) -> list[Target]:
        """Return one target for each of the classes with the highest scores."""
        return [Class(rank=rank) for rank in range(text.number(text.argument, 1, _MOST_TOP))]

    @written("mask:FILE:CLASS", "a class over the bright region of an image file", example="mask:region.png:15")
    @staticmethod
    def from_mask(text: TargetText) -> list[Target]:
        """Return a class over the region where an image is brighter than half."""
        file, _, label = text.argument.rpartition(":")
        if not file:
            raise TargetError(f"target '{text.whole}' names no class; write mask:FILE:CLASS")
        return [Class(text.class_index(label), text.mask(file))]

    @property
    def class_index(self) -> int:
        """The class, or -1 for a predicted one."""
        return self.index

    @property
    def needs_scores(self) -> bool:
        """Whether a region, or a rank other than the first, has to be found in the scores."""
        return self.mask is not None or bool(self.rank)

    def describe(self) -> str:
        """Return the class, its rank and a hash of its mask."""
        name = f"class {self.index}" if self.index >= 0 else f"predicted class of rank {self.rank + 1}"
        return name if self.mask is None else f"{name} over mask {digest(self.mask)}"

    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return a cotangent of 1 at the class, shared evenly by the positions of its region."""
        import numpy as np

        if score.kind == "boxes":
            return Box(self.index, rank=self.rank).resolve(scores, score)
        if score.kind == "other":
            raise TargetError(
                f"{score.described}, of unknown axes; give a cotangent array (onnxcam.target.Cotangent in Python), or "
                "name another score"
            )
        by_class = np.moveaxis(scores, score.class_axis - 1, 0)
        if self.index >= len(by_class):
            raise TargetError(f"class {self.index} does not exist: the model has {len(by_class)} classes")
        winners = by_class.argmax(axis=0)
        index = self.index if self.index >= 0 else self._predicted(by_class, winners)
        region = self._region(winners, index)
        cotangent = np.zeros_like(by_class)
        cotangent[index] = region / region.sum()
        return np.moveaxis(cotangent, 0, score.class_axis - 1), index

    def _predicted(self, by_class: Tensor, winners: npt.NDArray[np.intp]) -> int:
        """Return the class of that rank: by score at a single position, else by the number of positions it wins."""
        import numpy as np

        won = by_class.ravel() if winners.size == 1 else np.bincount(winners.ravel(), minlength=len(by_class))
        return nth_highest(won, self.rank)

    def _region(self, winners: npt.NDArray[np.intp], index: int) -> npt.NDArray[np.bool_]:
        """Return the positions that the score is averaged over; ``winners`` holds the best class at each position."""
        import numpy as np

        if self.mask is not None:
            region = _scaled(self.mask, winners.shape)
            if not region.any():
                raise TargetError("the mask of the target is empty; give one with at least one position")
            return region
        region = np.asarray(winners == index)
        return region if region.any() else np.ones_like(region)


def _scaled(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return the mask at another size: each position takes the nearest one."""
    import numpy as np

    if mask.ndim != len(shape):
        raise TargetError(
            f"a mask of shape {mask.shape} does not fit scores of shape {shape}; give one of {len(shape)} axes"
        )
    for axis, size in enumerate(shape):
        nearest = ((np.arange(size) + 0.5) * mask.shape[axis] / size).astype(np.intp)
        mask = mask.take(nearest, axis=axis)
    return mask.astype(bool)
