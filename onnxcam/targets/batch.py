"""What is explained of each sample: one number made of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.arrays import sigmoid, softmax
from onnxcam.errors import TargetError
from onnxcam.graph.analysis.score import Score
from onnxcam.images import find_label
from onnxcam.targets.kinds import PREDICTED, Class, Nearest, Target

Tensor: TypeAlias = npt.NDArray[Any]
Wanted: TypeAlias = int | str | Target | None
Targets: TypeAlias = Wanted | Sequence[Wanted] | Sequence[Sequence[Wanted]] | npt.NDArray[np.integer[Any]]

# Class indices beyond this do not fit every type that they pass through.
_MOST_CLASSES = 2**31


@dataclass(frozen=True, eq=False)
class TargetBatch:
    """The targets of a batch.

    Attributes:
        targets: one a sample.
        score: the tensor that they are made of.
        indices: int64 ``[N]``: the class or box that stands for each target, -1 for the predicted one until the scores
            are known.
        cotangents: float32, of the scores' shape, once they are known.
    """

    targets: tuple[Target, ...]
    score: Score
    indices: npt.NDArray[np.int64]
    cotangents: Tensor = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def in_graph(self) -> bool:
        """Whether the class index alone tells everything, so that no cotangent is needed."""
        return self.score.kind == "classes" and all(
            isinstance(target, Class) and target.mask is None and not target.rank for target in self.targets
        )

    @property
    def is_resolved(self) -> bool:
        """Whether the scores are known, or need not be."""
        return bool((self.indices >= 0).all()) if self.in_graph else bool(self.cotangents.size)

    def rows(self, places: Sequence[int]) -> TargetBatch:
        """Return the targets at some places."""
        at = np.asarray(places, np.int64)
        weights = self.cotangents[at] if self.cotangents.size else self.cotangents
        return replace(self, targets=tuple(self.targets[i] for i in at), indices=self.indices[at], cotangents=weights)

    def weights(self, scores: Tensor) -> Tensor:
        """Return the weight of each score in what is explained, of the scores' shape."""
        found = self if self.is_resolved else self.resolved(scores)
        if not found.in_graph:
            return found.cotangents
        hot = np.zeros((len(scores), scores[0].size), np.float32)
        hot[np.arange(len(scores)), found.indices] = 1
        return hot.reshape(scores.shape)

    def value(self, row: int, scores: Tensor, probability: bool = False) -> Tensor:
        """Return the explained number of one sample for each of many scores.

        Args:
            row: which target, once it is resolved.
            scores: ``[M, ...]``.
            probability: return that of the class, where the target is one and the model says what its scores mean.

        Returns:
            float32 ``[M]``.
        """
        scores = scores.astype(np.float32, copy=False)
        if probability and self.score.kind == "classes" and isinstance(self.targets[row], Class):
            return _probabilities(scores.reshape(len(scores), -1), self.score.activation)[:, self.indices[row]]
        if self.in_graph:
            return scores.reshape(len(scores), -1)[:, self.indices[row]]
        weights = self.cotangents[row]
        return np.asarray(np.tensordot(scores, weights, axes=weights.ndim))

    def resolved(self, scores: Tensor) -> TargetBatch:
        """Return the same with the scores known.

        Raises:
            TargetError: a class or box past the last one.
        """
        if self.in_graph:
            flat = scores.reshape(len(scores), -1)
            check_classes(self.indices, flat.shape[1])
            return replace(self, indices=np.where(self.indices < 0, flat.argmax(axis=1), self.indices))
        found = [target.resolve(row, self.score) for target, row in zip(self.targets, scores, strict=True)]
        return replace(
            self,
            indices=np.array([index for _, index in found], np.int64),
            cotangents=np.stack([cotangent for cotangent, _ in found]).astype(np.float32),
        )


def spread(targets: Any, count: int) -> tuple[Any, npt.NDArray[np.int64]]:
    """Return one target an explanation, and for each the sample that it belongs to.

    Args:
        targets: as for ``choose``, or one list of several for each sample.
        count: number of samples.

    Raises:
        TargetError: an empty list, or another number of lists than samples.
    """
    if not (isinstance(targets, (list, tuple)) and any(isinstance(entry, (list, tuple)) for entry in targets)):
        return targets, np.arange(count)
    if len(targets) != count or not all(isinstance(entry, (list, tuple)) and entry for entry in targets):
        raise TargetError(f"give a list of at least one target for each of the {count} samples")
    samples = np.repeat(np.arange(count), [len(entry) for entry in targets])
    return [target for entry in targets for target in entry], samples


def contrasted(chosen: TargetBatch, count: int, weight: float) -> TargetBatch:
    """Return targets that set each class against those that score nearest to it.

    Raises:
        TargetError: a target is no class.
    """
    for target in chosen.targets:
        if not isinstance(target, Class):
            raise TargetError(f"'{target.describe()}' has no nearest classes; give a class, or use another method")
    nearest = tuple(Nearest(target, count, weight) for target in chosen.targets if isinstance(target, Class))
    return replace(chosen, targets=nearest)


def resolve_targets(targets: Targets, count: int, score: Score, labels: Sequence[str] | None) -> TargetBatch:
    """Bring targets into one form.

    Args:
        targets: None for what the model predicts, an index, a label or a ``Target`` for all samples, or one for each.
        count: number of samples.
        score: the tensor that they are made of.
        labels: names of the classes, to find a label among.

    Raises:
        TargetError: no such class, or another number of targets than samples.
        NameNotFoundError: no such label.
    """
    given = list(targets) if isinstance(targets, (list, tuple, np.ndarray)) else [targets] * count
    if len(given) != count:
        raise TargetError(f"{len(given)} targets for {count} samples; give one, or one for each")
    chosen = tuple(_target(target, labels) for target in given)
    indices = [target.index if isinstance(target, Class) else PREDICTED for target in chosen]
    if score.classes is not None:
        check_classes(np.array(indices, np.int64), score.classes)
    return TargetBatch(chosen, score, np.array(indices, np.int64))


def check_classes(targets: npt.NDArray[np.int64], classes: int) -> None:
    """Raise if a target lies past the last class.

    Raises:
        TargetError: it does.
    """
    if targets.size and targets.max() >= classes:
        known = "1 class, 0" if classes == 1 else f"{classes} classes, 0 to {classes - 1}"
        raise TargetError(f"class {targets.max()} does not exist: the model has {known}")


def class_index(wanted: int | str, labels: Sequence[str] | None) -> int:
    """Return the class that an index or a label means.

    Raises:
        TargetError: no class can have that index, or there are no labels.
        NameNotFoundError: no such label.
    """
    if isinstance(wanted, str):
        if labels is None:
            raise TargetError(f"target '{wanted}' is a name, but the model has no labels; give --labels or an index")
        return find_label(wanted, labels)
    if not 0 <= wanted < _MOST_CLASSES:
        raise TargetError(f"class {wanted} does not exist; classes count from 0 (None is the predicted one)")
    return int(wanted)


def _probabilities(scores: Tensor, activation: str | None) -> Tensor:
    """Return what a last sigmoid makes of scores, or else softmax."""
    return sigmoid(scores) if activation == "sigmoid" else softmax(scores)


def by_class(scores: Tensor, score: Score) -> npt.NDArray[np.float32]:
    """Return scores to show, ``[N, classes]``: of dense ones each class's share of the places, of boxes the best."""
    scores = scores.astype(np.float32, copy=False)
    if score.kind == "dense":
        last = np.moveaxis(scores, score.class_axis, -1)
        winners = last.reshape(len(scores), -1, last.shape[-1]).argmax(axis=2)
        counts = [np.bincount(row, minlength=last.shape[-1]) / row.size for row in winners]
        return np.stack(counts).astype(np.float32)
    if score.kind == "boxes":
        detections = np.moveaxis(scores, score.box_axis, 1)
        return np.asarray(detections[:, :, score.coordinates :].max(axis=2))
    return scores.reshape(len(scores), -1)


def shown(scores: Tensor, chosen: TargetBatch) -> npt.NDArray[np.float32]:
    """Return scores to show, ``[N, classes]``; of a box that is explained, the number that is."""
    found = by_class(scores, chosen.score)
    if chosen.score.kind == "boxes" and chosen.is_resolved:
        found = found.copy()
        for row, box in enumerate(chosen.indices):
            found[row, box] = chosen.value(row, scores[row : row + 1])[0]
    return found


def box_labels(scores: Tensor) -> tuple[str, ...]:
    """Return names for boxes, which have none."""
    return tuple(f"box {index}" for index in range(scores.shape[1]))


def _target(wanted: object, labels: Sequence[str] | None) -> Target:
    if wanted is None:
        return Class()
    if isinstance(wanted, Target):
        return wanted
    if isinstance(wanted, (int, str, np.integer)) and not isinstance(wanted, bool):
        return Class(class_index(wanted if isinstance(wanted, str) else int(wanted), labels))
    raise TargetError(f"a target is a class index, a label or a Target, not {wanted!r}")
