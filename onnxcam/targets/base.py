"""The base class of targets, each a number computed from the scores of one sample, and their written forms.

``--help`` lists the written forms and must not load NumPy. So this module and those of ``kinds`` import NumPy, and what
else is heavy, inside the functions that compute, as commands do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from onnxcam.errors import TargetError

if TYPE_CHECKING:
    import numpy.typing as npt

    from onnxcam.graph.analysis.score import Score
    from onnxcam.targets.text import TargetText

Tensor: TypeAlias = "npt.NDArray[Any]"

# The class or box index that stands for the predicted one.
PREDICTED = -1


class Target(ABC):
    """A number computed from the scores of one sample: their sum, weighted by a cotangent.

    A kind of target is a class in a module of ``onnxcam.targets.kinds``; its parsers carry the decorator ``written``.

    Attributes:
        name: of the kind, unique among all kinds.
    """

    name: ClassVar[str]

    @abstractmethod
    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return the cotangent of the scores, and the index of the class or box that stands for the target.

        Args:
            scores: of one sample, without the batch axis.
            score: what their axes mean.

        Raises:
            TargetError: there is no such class or box, or the scores are of another kind.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return what is explained, in words that distinguish it from every other target."""

    @property
    def class_index(self) -> int | None:
        """The class whose score the target is, ``PREDICTED`` before that is known; None if it is no class's score."""
        return None

    @property
    def needs_scores(self) -> bool:
        """Whether the cotangent of class scores depends on more than ``class_index`` or the highest score."""
        return True

    @classmethod
    def forms(cls) -> tuple[Form, ...]:
        """Return the forms in which this kind is written, in the order of definition; none if only Python makes it."""
        return tuple(value for value in vars(cls).values() if isinstance(value, Form))


@dataclass(frozen=True)
class Form:
    """One way of writing a target as text.

    Attributes:
        written: the form as help and messages show it. It begins with a lower-case keyword, alone (``predicted``) or
            followed by a colon and an argument in capitals (``box:INDEX[:VALUE]``), or has no keyword (``A-B``).
        meaning: what it explains, as a phrase.
        example: a text of this form.
        parse: returns the targets that a text names, or None where a form without a keyword does not match it.
    """

    written: str
    meaning: str
    example: str
    parse: Callable[[TargetText], list[Target] | None]

    @property
    def keyword(self) -> str:
        """The word that a text of this form begins with, empty if it has none."""
        word = self.written.partition(":")[0]
        return word if word.islower() else ""

    @property
    def takes_argument(self) -> bool:
        """Whether a colon and an argument follow the keyword."""
        return ":" in self.written


def written(form: str, meaning: str, *, example: str) -> Callable[[Callable[[TargetText], Any]], Form]:
    """Return a decorator that turns a parser in the body of a kind's class into a form of that kind."""
    return lambda parse: Form(form, meaning, example, parse)


def check_choice(noun: str, index: int, rank: int) -> None:
    """Refuse an index or a rank that counts from the end, as in a list: targets have no such form.

    Raises:
        TargetError: the index is below -1, or the rank below 0.
    """
    if index < PREDICTED:
        raise TargetError(
            f"{noun} {index} does not exist; indices count from 0, and {PREDICTED} is the predicted {noun}"
        )
    if rank < 0:
        raise TargetError(f"rank {rank} of a {noun} does not exist; ranks count from 0, the highest score")


def nth_highest(values: Tensor, rank: int) -> int:
    """Return the position of the highest value after ``rank`` higher ones; of equal values the first counts as higher.

    Raises:
        TargetError: there are not as many values.
    """
    if rank >= len(values):
        raise TargetError(f"there is no number {rank + 1} among {len(values)} predictions; ask for fewer")
    return int((-values).argsort(kind="stable")[rank])


def digest(array: Tensor) -> str:
    """Return a short hash of an array's numbers, to distinguish targets that hold one."""
    import hashlib

    return hashlib.sha256(array.tobytes()).hexdigest()[:12]
