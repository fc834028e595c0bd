"""Slow metrics: each written position by position from its paper, in plain Python loops, with cases done by hand.

A metric's module here is named like its module in ``onnxcam.metrics.formulas`` and holds ``SAMPLES``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.discovery import module_names

Array: TypeAlias = npt.NDArray[Any]
Fields: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class View:
    """Samples with maps, truth, and a model: the probability is the sigmoid of the image's mean plus the bias."""

    maps: Array
    images: Array
    masks: Array
    bias: float = 0.0

    def probability(self, images: Array, samples: Array) -> Array:
        assert len(images) == len(samples)
        return np.asarray(1 / (1 + np.exp(-self.bias - images.reshape(len(images), -1).mean(axis=1))))


@dataclass(frozen=True, eq=False)
class Samples:
    """How a metric is tested.

    Attributes:
        oracle: takes the metric (for its fields), a view and which of its samples; returns the value.
        by_hand: view, fields and the value of each sample, computed on paper.
        fields: away from their defaults; every field must occur.
    """

    oracle: Callable[[Any, View, int], float]
    by_hand: Sequence[tuple[View, Fields, Sequence[float]]]
    fields: Sequence[Fields] = field(default_factory=tuple)


def all_samples() -> dict[str, Samples]:
    """Return the samples by the name of the module of their metric."""
    found = {name: importlib.import_module(f"{__name__}.{name}").SAMPLES for name in module_names(__name__)}
    assert all(isinstance(samples, Samples) for samples in found.values())
    return found


def maps_of(*maps: Sequence[Sequence[float]], masks: Array | None = None) -> View:
    """Return a view of maps alone; images are ones, masks cover everything where none are given."""
    array = np.array(maps, np.float32)
    images = np.ones((len(array), 3, *array.shape[1:]), np.float32)
    return View(array, images, np.ones(array.shape, bool) if masks is None else masks)
