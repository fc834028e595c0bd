"""Samples of every kind of target: a module each, named like the module of the kind, found as the kinds are."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.discovery import module_names
from onnxcam.graph.analysis.score import Score
from onnxcam.targets import Target

Array: TypeAlias = npt.NDArray[Any]

CLASSES = Score("y", None, ("n", 5), ())
DENSE = Score("y", None, ("n", 3, 2, 4), (), "NCHW")
CHANNELS_LAST = Score("y", None, ("n", 2, 4, 3), (), "NHWC")
BOXES = Score("y", None, ("n", 4, 7), (), coordinates=4)
UNKNOWN = Score("y", None, ("n", 5, 4, 3), ())

LABELS = ("ant", "pug-dog", "cat", "dog", "eel", *(f"class {index}" for index in range(5, 15)), "tabby")


@dataclass(frozen=True, eq=False)
class Sample:
    """One target with scores that it is made of, and what must come out.

    Attributes:
        target: the target.
        scores: of one sample, without the batch axis.
        value: the number that is explained, computed from the scores without the target.
        index: the class or box that is reported for it.
        described: its description.
        score: what the axes of the scores mean.
    """

    target: Target
    scores: Array
    value: float
    index: int
    described: str
    score: Score = CLASSES


@dataclass(frozen=True, eq=False)
class Samples:
    """All samples of one kind.

    Attributes:
        resolved: targets with scores and results.
        refused: target, axes of the scores, and a part of the error.
        texts: descriptions of the targets that a text names, given ``LABELS``; the example of every form is one.
        wrong_texts: a text of one of its forms that is refused, and a part of the error.
    """

    resolved: Sequence[Sample]
    refused: Sequence[tuple[Target, Score, str]] = ()
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    wrong_texts: Mapping[str, str] = field(default_factory=dict)


def all_samples() -> dict[str, Samples]:
    """Return the samples by the name of the module of their kind."""
    found = {name: importlib.import_module(f"{__name__}.{name}").SAMPLES for name in module_names(__name__)}
    assert all(isinstance(samples, Samples) for samples in found.values())
    return found


def random_scores(score: Score) -> Array:
    """Return the scores of one sample, seeded, float32."""
    shape = tuple(size for size in score.shape[1:] if isinstance(size, int))
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)
