"""One method on one set: what its maps are worth, and how long they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

import onnxcam
from onnxcam.methods.base import Method
from tools.benchmarks.timing import interleaved
from tools.truth.scores import Map, hit, share_inside
from tools.truth.sets import Sample, TruthSet

Numbers: TypeAlias = npt.NDArray[np.float64]

# Samples that are explained one by one and timed; the others are explained together.
_TIMED = 15


@dataclass(frozen=True)
class Measured:
    """What maps are worth, one number an image.

    Attributes:
        inside: share of the map's mass in the truth.
        hits: whether its highest position is there.
        ratio: time of one explanation over that of one plain run; None for what takes none.
    """

    inside: Numbers
    hits: Numbers
    ratio: float | None = None


@dataclass(frozen=True)
class Refused:
    """Why a method does not apply."""

    reason: str


def measure(method: Method, truth: TruthSet, count: int | None = None) -> Measured | Refused:
    """Explain the true class of images of a set.

    Args:
        method: how.
        truth: what.
        count: the first so many images; all if not given.
    """
    samples = truth.samples[:count]
    try:
        explainer = truth.explainer(method)
        maps, ratio = _timed(explainer, truth, samples[:_TIMED])
        maps += _explain(explainer, samples[_TIMED:])
    except onnxcam.OnnxcamError as error:
        return Refused(str(error))
    return Measured(*judged(maps, samples), ratio)


def judged(maps: Sequence[Map], samples: Sequence[Sample]) -> tuple[Numbers, Numbers]:
    """Return mass inside and hits of display maps ``[h, w]`` of the network's input, each laid over its photograph."""
    placed = [sample.photograph.frame.place(map) for map, sample in zip(maps, samples, strict=True)]
    pairs = list(zip(placed, samples, strict=True))
    inside = np.array([share_inside(map, sample.truth) for map, sample in pairs])
    return inside, np.array([hit(map, sample.near) for map, sample in pairs])


def chance(truth: TruthSet) -> Measured:
    """Return what a map is worth that is the same everywhere: area of the truth, and hits of a random position."""
    return Measured(*judged([np.ones((1, 1), np.float32)] * len(truth.samples), truth.samples))


def centre(truth: TruthSet) -> Measured:
    """Return what the middle pixel of the photograph is worth: photographers put things there."""
    spots = [(tuple(length // 2 for length in sample.truth.shape), sample) for sample in truth.samples]
    inside = [float(sample.truth[spot]) for spot, sample in spots]
    return Measured(np.array(inside), np.array([float(sample.near[spot]) for spot, sample in spots]))


def _timed(explainer: onnxcam.Explainer, truth: TruthSet, samples: Sequence[Sample]) -> tuple[list[Map], float]:
    """Explain one by one, a plain run of the same image beside each; return maps and the ratio of times."""
    maps: list[Map] = []
    plain, explained = iter(samples), iter(samples)
    # The first round is slow for both, as graphs are loaded; a median does not mind, and slow methods take minutes.
    times = interleaved(
        {
            "plain": lambda: truth.plain(next(plain)),
            "method": lambda: maps.extend(_explain(explainer, [next(explained)])),
        },
        rounds=len(samples),
        warmup=0,
    )
    return maps, times["method"].ratio


def _explain(explainer: onnxcam.Explainer, samples: Sequence[Sample]) -> list[Map]:
    if not samples:
        return []
    photographs = [sample.photograph for sample in samples]
    return list(explainer.explain(photographs, [sample.target for sample in samples]).maps)


def no_better(found: Measured, control: Measured) -> bool:
    """Return whether the mass inside is not above the control's on the same images by two standard errors."""
    gain = found.inside - control.inside[: len(found.inside)]
    return bool(gain.mean() <= 2 * error(gain))


def error(values: Numbers) -> float:
    """Return the standard error of a mean, NaN of a single value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
