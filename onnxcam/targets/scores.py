"""The scores that an explanation reports beside its maps."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.graph.analysis.score import Score
from onnxcam.targets.batch import TargetBatch

Tensor: TypeAlias = npt.NDArray[Any]


def scores_by_class(scores: Tensor, score: Score) -> npt.NDArray[np.float32]:
    """Return one number a class, or a box, of each sample.

    Args:
        scores: as the model computes them, ``[N, ...]``.
        score: what their axes mean.

    Returns:
        ``[N, classes]``: of dense scores the share of positions at which each class has the highest score; of
        detections ``[N, boxes]``, the highest score of each box.
    """
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


def reported_scores(scores: Tensor, batch: TargetBatch) -> npt.NDArray[np.float32]:
    """Return ``scores_by_class`` in which a box that is explained has the number that is explained."""
    found = scores_by_class(scores, batch.score)
    if batch.score.kind == "boxes" and batch.is_resolved:
        found = found.copy()
        for row, box in enumerate(batch.indices):
            found[row, box] = batch.value(row, scores[row : row + 1])[0]
    return found


def box_labels(scores: Tensor) -> tuple[str, ...]:
    """Return labels for the boxes of ``reported_scores``, which have no names: ``box 0``, ``box 1``, ..."""
    return tuple(f"box {index}" for index in range(scores.shape[1]))
