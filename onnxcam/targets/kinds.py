"""Kinds of targets: each says which number, linear in the scores of one sample, is explained."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.errors import TargetError
from onnxcam.graph.analysis.score import Score

Tensor: TypeAlias = npt.NDArray[Any]

PREDICTED = -1


class Target(ABC):
    """One number made of the scores of a sample."""

    @abstractmethod
    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return the cotangent of the scores, and the class or box that stands for the target.

        Args:
            scores: of one sample, without the batch axis.
            score: what their axes mean.

        Raises:
            TargetError: there is no such class or box, or the scores are of another kind.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return what is explained, in words that tell it from every other target."""


@dataclass(frozen=True, eq=False)
class Class(Target):
    """The score of a class; where scores are dense, its mean over a region.

    Attributes:
        index: the class, or -1 for the predicted one: the highest score, or the class of most places. Of boxes, the
            box with the highest score.
        mask: bool, of the scores' spatial shape or of any other, which is then scaled to it. Without one, the places
            where the class is predicted, or all places if there are none.
        rank: of predicted classes, how many come before this one.
    """

    index: int = PREDICTED
    mask: npt.NDArray[np.bool_] | None = None
    rank: int = 0

    def describe(self) -> str:
        """Return the class, its rank and a hash of its mask."""
        name = f"class {self.index}" if self.index >= 0 else f"predicted class of rank {self.rank + 1}"
        return name if self.mask is None else f"{name} over mask {_digest(self.mask)}"

    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return one at the class, spread evenly over its region."""
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
        """Return the class of that rank: by score where there is one place, else by the number of places won."""
        won = by_class.ravel() if winners.size == 1 else np.bincount(winners.ravel(), minlength=len(by_class))
        return _ranked(won, self.rank)

    def _region(self, winners: npt.NDArray[np.intp], index: int) -> npt.NDArray[np.bool_]:
        if self.mask is not None:
            region = _scaled(self.mask, winners.shape)
            if not region.any():
                raise TargetError("the mask of the target is empty; give one with at least one place")
            return region
        region = np.asarray(winners == index)
        return region if region.any() else np.ones_like(region)


def _ranked(values: Tensor, rank: int) -> int:
    """Return the position of the highest value but ``rank``."""
    if rank >= len(values):
        raise TargetError(f"there is no number {rank + 1} among {len(values)} predictions; ask for fewer")
    return int(np.argsort(-values, kind="stable")[rank])


def _digest(array: Tensor) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


def _scaled(mask: npt.NDArray[np.bool_], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return the mask at another size: each place takes the nearest one."""
    if mask.ndim != len(shape):
        raise TargetError(f"a mask of shape {mask.shape} does not fit scores of shape {shape}")
    for axis, size in enumerate(shape):
        nearest = ((np.arange(size) + 0.5) * mask.shape[axis] / size).astype(np.intp)
        mask = mask.take(nearest, axis=axis)
    return mask.astype(bool)


@dataclass(frozen=True)
class Difference(Target):
    """The score of a class less the mean score of others: what tells it from them.

    Attributes:
        positive: the class, -1 for the predicted one.
        negative: the others.
        weight: of the others.
    """

    positive: int
    negative: tuple[int, ...]
    weight: float = 1.0

    def describe(self) -> str:
        """Return both sides."""
        others = " and ".join(str(other) for other in self.negative)
        return f"{Class(self.positive).describe()} less {self.weight:g} times the mean of {others}"

    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return one at the class and a share of minus the weight at each of the others."""
        cotangent, index = Class(self.positive).resolve(scores, score)
        cotangent = cotangent.copy()
        for other in self.negative:
            cotangent -= Class(other).resolve(scores, score)[0] * (self.weight / len(self.negative))
        return cotangent, index


@dataclass(frozen=True)
class Nearest(Target):
    """The score of a class less a share of the mean score of those that come nearest to it.

    Source: Zhang et al. 2025 (Finer-CAM), with the classes whose scores are nearest for the similar ones.

    Attributes:
        of: the class.
        count: how many others; as many as there are, if there are fewer.
        weight: of their mean.
    """

    of: Class
    count: int
    weight: float

    def describe(self) -> str:
        """Return the class and what is taken from it."""
        return f"{self.of.describe()} less {self.weight:g} times the mean of the {self.count} nearest"

    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return one at the class and a share of minus the weight at each of the others."""
        if score.kind != "classes":
            raise TargetError(f"{score.described}; nearest classes need one score a class")
        cotangent, index = self.of.resolve(scores, score)
        flat = scores.ravel()
        order = np.argsort(np.abs(flat - flat[index]), kind="stable")
        others = order[order != index][: self.count]
        weights = cotangent.copy().ravel()
        weights[others] = -self.weight / max(len(others), 1)
        return weights.reshape(cotangent.shape), index


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

    index: int = PREDICTED
    value: int | None = None
    rank: int = 0

    def describe(self) -> str:
        """Return box and value."""
        name = f"box {self.index}" if self.index >= 0 else f"box of rank {self.rank + 1}"
        return name if self.value is None else f"{name}, value {self.value}"

    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return one at that number."""
        if score.kind != "boxes":
            raise TargetError(f"{score.described}, not the values of boxes; name a class")
        detections = np.moveaxis(scores, score.box_axis - 1, 0)
        boxes, values = detections.shape
        if self.index >= boxes or (self.value is not None and not 0 <= self.value < values):
            raise TargetError(f"{self.describe()} does not exist: there are {boxes} boxes of {values} values")
        first = score.coordinates
        rated = detections[:, first:] if self.value is None else detections[:, self.value, None]
        index = self.index if self.index >= 0 else _ranked(rated.max(axis=1), self.rank)
        value = first + int(rated[index].argmax()) if self.value is None else self.value
        cotangent = np.zeros_like(detections)
        cotangent[index, value] = 1
        return np.moveaxis(cotangent, 0, score.box_axis - 1), index


@dataclass(frozen=True, eq=False)
class Cotangent(Target):
    """Any linear function of the scores.

    Attributes:
        array: its coefficients, of the scores' shape without the batch axis.
        index: the class to report.
    """

    array: Tensor
    index: int = 0

    def describe(self) -> str:
        """Return a hash of the coefficients."""
        return f"cotangent {_digest(self.array)}"

    def resolve(self, scores: Tensor, score: Score) -> tuple[Tensor, int]:
        """Return the coefficients."""
        if self.array.size == scores.size == 1:
            return self.array.reshape(scores.shape), self.index
        if self.array.shape != scores.shape:
            raise TargetError(f"a cotangent of shape {self.array.shape} does not fit scores of shape {scores.shape}")
        return self.array, self.index
