"""The targets of a batch, and the weights of the scores that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.arrays import sigmoid, softmax
from onnxcam.errors import TargetError
from onnxcam.graph.analysis.score import Score
from onnxcam.targets.base import PREDICTED, Target
from onnxcam.targets.classes import check_classes, class_index
from onnxcam.targets.kinds.class_ import Class
from onnxcam.targets.kinds.nearest import Nearest

Tensor: TypeAlias = npt.NDArray[Any]
Wanted: TypeAlias = int | str | Target | None
Targets: TypeAlias = Wanted | Sequence[Wanted] | Sequence[Sequence[Wanted]] | npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class TargetBatch:
    """The targets of a batch, one a row.

    Attributes:
        targets: one a row.
        score: the score tensor that they weigh.
        indices: int64 ``[N]``: the class or box that stands for each target, -1 for the predicted one until the scores
            are known.
        cotangents: float32, of the scores' shape, once the scores are known; empty before, and where the class index
            alone determines them.
    """

    targets: tuple[Target, ...]
    score: Score
    indices: npt.NDArray[np.int64]
    cotangents: Tensor = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def in_graph(self) -> bool:
        """Whether the class indices alone determine the cotangents, so that the graph makes these by itself."""
        return self.score.kind == "classes" and not any(target.needs_scores for target in self.targets)

    @property
    def is_resolved(self) -> bool:
        """Whether the scores are known, or need not be."""
        return bool((self.indices >= 0).all()) if self.in_graph else bool(self.cotangents.size)

    def rows(self, positions: Sequence[int]) -> TargetBatch:
        """Return the batch of some of its rows."""
        at = np.asarray(positions, np.int64)
        weights = self.cotangents[at] if self.cotangents.size else self.cotangents
        return replace(self, targets=tuple(self.targets[i] for i in at), indices=self.indices[at], cotangents=weights)

    def weights(self, scores: Tensor) -> Tensor:
        """Return the weight of each score in what is explained: cotangents of the scores' shape."""
        found = self if self.is_resolved else self.resolved(scores)
        if not found.in_graph:
            return found.cotangents
        hot = np.zeros((len(scores), scores[0].size), np.float32)
        hot[np.arange(len(scores)), found.indices] = 1
        return hot.reshape(scores.shape)

    def value(self, row: int, scores: Tensor, probability: bool = False) -> Tensor:
        """Return the number that one target computes from each of many scores, for instance of perturbed inputs.

        Args:
            row: which target; the batch must be resolved.
            scores: ``[M, ...]``.
            probability: return the probability of the class instead, where the target is the score of a class.

        Returns:
            float32 ``[M]``.
        """
        scores = scores.astype(np.float32, copy=False)
        if probability and self.score.kind == "classes" and self.targets[row].class_index is not None:
            return _probabilities(scores.reshape(len(scores), -1), self.score.activation)[:, self.indices[row]]
        if self.in_graph:
            return scores.reshape(len(scores), -1)[:, self.indices[row]]
        weights = self.cotangents[row]
        return np.asarray(np.tensordot(scores, weights, axes=weights.ndim))

    def resolved(self, scores: Tensor) -> TargetBatch:
        """Return the batch with the indices and cotangents that follow from the scores ``[N, ...]``.

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


def flatten_targets(targets: Any, count: int) -> tuple[Any, npt.NDArray[np.int64]]:
    """Return one target for each map, and the sample that each belongs to.

    Args:
        targets: as for ``resolve_targets``, or for each sample a list of several.
        count: number of samples.

    Returns:
        Targets as for ``resolve_targets``, and for each map the index of its sample, int64 ``[maps]``.

    Raises:
        TargetError: an empty list, or another number of lists than samples.
    """
    if not (isinstance(targets, (list, tuple)) and any(isinstance(entry, (list, tuple)) for entry in targets)):
        return targets, np.arange(count)
    if len(targets) != count or not all(isinstance(entry, (list, tuple)) and entry for entry in targets):
        raise TargetError(f"give a list of at least one target for each of the {count} samples")
    samples = np.repeat(np.arange(count), [len(entry) for entry in targets])
    return [target for entry in targets for target in entry], samples


def contrast_with_nearest(
    batch: TargetBatch, count: int, weight: float, mean: Literal["plain", "probability"] = "plain"
) -> TargetBatch:
    """Return targets that set each class against those whose scores are nearest to it.

    Args:
        batch: targets that are each the score of a class.
        count: how many other classes.
        weight: of their mean score, which is subtracted from that of the class.
        mean: ``plain``, or weighted by ``probability``.

    Raises:
        TargetError: a target is not the score of a class.
    """
    for target in batch.targets:
        if target.class_index is None:
            raise TargetError(f"'{target.describe()}' has no nearest classes; give a class, or use another method")
    return replace(batch, targets=tuple(Nearest(target, count, weight, mean) for target in batch.targets))


def resolve_targets(targets: Targets, count: int, score: Score, labels: Sequence[str] | None) -> TargetBatch:
    """Return the targets that a user gave as one batch.

    Args:
        targets: None for what the model predicts, an index, a label or a ``Target`` for all samples, or one for each.
        count: number of samples.
        score: the tensor of scores that they are made of.
        labels: names of the classes, None if there are none.

    Raises:
        TargetError: no such class, or another number of targets than samples.
        NameNotFoundError: no such label.
    """
    given = list(targets) if isinstance(targets, (list, tuple, np.ndarray)) else [targets] * count
    if len(given) != count:
        raise TargetError(f"{len(given)} targets for {count} samples; give one, or one for each")
    found = tuple(_target(target, labels) for target in given)
    indices = np.array([PREDICTED if one.class_index is None else one.class_index for one in found], np.int64)
    if score.classes is not None:
        check_classes(indices, score.classes)
    return TargetBatch(found, score, indices)


def _probabilities(scores: Tensor, activation: str | None) -> Tensor:
    """Return the probabilities of scores ``[M, classes]``: their sigmoid where the model ends in one, else softmax."""
    return sigmoid(scores) if activation == "sigmoid" else softmax(scores)


def _target(wanted: object, labels: Sequence[str] | None) -> Target:
    if wanted is None:
        return Class()
    if isinstance(wanted, Target):
        return wanted
    if isinstance(wanted, (int, str, np.integer)) and not isinstance(wanted, bool):
        return Class(class_index(wanted if isinstance(wanted, str) else int(wanted), labels))
    raise TargetError(f"a target is a class index, a label or a Target, not {wanted!r}")
