"""What is explained of each sample: the predicted class, or one by index or label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.errors import TargetError
from onnxcam.images import find_label

Targets: TypeAlias = int | str | Sequence[int | str] | npt.NDArray[np.integer[Any]] | None

PREDICTED = -1
# Class indices beyond this do not fit every type that they pass through.
_MOST_CLASSES = 2**31


def class_indices(
    targets: Targets, count: int, classes: int | None, labels: Sequence[str] | None
) -> npt.NDArray[np.int64]:
    """Return one class a sample, -1 where the predicted one is meant.

    Args:
        targets: None for the predicted class, an index or a label for all samples, or one for each.
        count: number of samples.
        classes: number of classes where the model tells it.
        labels: names of the classes, to find a label among.

    Raises:
        TargetError: no such class, or another number of targets than samples.
        NameNotFoundError: no such label.
    """
    if targets is None:
        return np.full(count, PREDICTED, np.int64)
    given = list(targets) if isinstance(targets, (list, tuple, np.ndarray)) else [targets] * count
    if len(given) != count:
        raise TargetError(f"{len(given)} targets for {count} samples; give one, or one for each")
    indices = [_class_index(target, labels) for target in given]
    if wrong := [index for index in indices if not 0 <= index < _MOST_CLASSES]:
        raise TargetError(f"class {wrong[0]} does not exist; classes count from 0 (None is the predicted one)")
    chosen = np.array(indices, np.int64)
    if classes is not None:
        check_classes(chosen, classes)
    return chosen


def check_classes(targets: npt.NDArray[np.int64], classes: int) -> None:
    """Raise if a target lies past the last class.

    Raises:
        TargetError: it does.
    """
    if targets.size and targets.max() >= classes:
        raise TargetError(f"class {targets.max()} does not exist: the model has {classes} classes, 0 to {classes - 1}")


def _class_index(target: object, labels: Sequence[str] | None) -> int:
    if isinstance(target, (int, np.integer)) and not isinstance(target, bool):
        return int(target)
    if not isinstance(target, str):
        raise TargetError(f"a target is a class index or a label, not {target!r}")
    if labels is None:
        raise TargetError(f"target '{target}' is a name, but the model has no labels; give --labels or an index")
    return find_label(target, labels)
