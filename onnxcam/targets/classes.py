"""Class indices: from labels, and within range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from onnxcam.errors import TargetError
from onnxcam.images import find_label

# Class indices beyond this do not fit every type that they pass through.
_MOST_CLASSES = 2**31


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


def check_classes(targets: npt.NDArray[np.integer[Any]], classes: int) -> None:
    """Refuse a class index past the last class.

    Raises:
        TargetError: there is one.
    """
    if targets.size and targets.max() >= classes:
        known = "1 class, 0" if classes == 1 else f"{classes} classes, 0 to {classes - 1}"
        raise TargetError(f"class {targets.max()} does not exist: the model has {known}")
