"""Ratios of times, measured so that a noisy machine disturbs both sides alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Seconds between two candidates.
_REST = 0.1


@dataclass(frozen=True)
class Timing:
    """What one candidate took.

    Attributes:
        seconds: median of its rounds.
        ratio: median over the rounds of its time over the reference's in the same round.
    """

    seconds: float
    ratio: float


def interleaved(candidates: Mapping[str, Callable[[], object]], rounds: int = 15, warmup: int = 2) -> dict[str, Timing]:
    """Run all candidates in turn, round after round; the first one is the reference.

    Every round starts with another candidate, so that what one leaves in the caches does not favour always the same
    next one.
    """
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(warmup):
        for name in names:
            candidates[name]()
    gc.disable()
    try:
        for turn in range(rounds):
            for step in range(len(names)):
                name = names[(turn + step) % len(names)]
                # Threads of the candidate before go on spinning for a while, and would take the cores from this one.
                time.sleep(_REST)
                start = time.perf_counter()
                candidates[name]()
                seconds[name].append(time.perf_counter() - start)
    finally:
        gc.enable()
    reference = seconds[names[0]]
    return {
        name: Timing(
            statistics.median(values),
            statistics.median(value / base for value, base in zip(values, reference, strict=True)),
        )
        for name, values in seconds.items()
    }
