"""Operators that pick by position."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Arg, Array, Sample, coin, const, fed, listed, samples, sized, smooth, var

_FAR = 2**62


def _bound(rng: np.random.Generator, size: int) -> int:
    return int(rng.choice([int(rng.integers(-size - 1, size + 2)), -_FAR, _FAR]))


def _slice_numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[list[Array], str]:
    """Return starts, ends, axes and steps of a slice that is not empty."""
    axes = [int(a) for a in rng.permutation(len(shape))[: int(rng.integers(1, len(shape) + 1))]]
    starts, ends, steps = [], [], []
    for axis in axes:
        size = shape[axis]
        while True:
            step = int(rng.choice([1, 1, 2, -1, -2, 3]))
            start, end = _bound(rng, size), _bound(rng, size)
            if step < 0 and end < -size:
                end = -_FAR
            if len(range(size)[_slice(start, end, step, size)]):
                break
        starts.append(start)
        ends.append(end)
        steps.append(step)
    signed = [a - len(shape) if coin(rng) else a for a in axes]
    numbers = [np.array(n, np.int64) for n in (starts, ends, signed, steps)]
    return numbers, str([(a, s, e, t) for a, s, e, t in zip(signed, starts, ends, steps, strict=True)])


def _slice(start: int, end: int, step: int, size: int) -> slice:
    return slice(start, None if step < 0 and end < -size else end, step)


def _make(rng: np.random.Generator, form: str) -> Sample:
    shape = (4, 5, 6)[int(rng.integers(0, 3)) :]
    (starts, ends, axes, steps), note = _slice_numbers(rng, shape)
    wrap = {"constant": const, "computed": sized}[form]
    args: list[Arg] = [wrap(starts), wrap(ends), const(axes), wrap(steps)]
    return Sample("Slice", (var(smooth(rng, *shape)), *args), note=f"{form}{note}")


@samples(16)
def slice_fixed(rng: np.random.Generator) -> Sample:
    return _make(rng, "constant")


@samples(10)
def slice_computed(rng: np.random.Generator) -> Sample:
    return _make(rng, "computed")


@samples(16)
def gather(rng: np.random.Generator) -> Sample:
    shape = (3, 4, 5)[int(rng.integers(0, 3)) :]
    axis = int(rng.integers(-len(shape), len(shape)))
    size = shape[axis]
    count = [(), (1,), (3,), (2, 2), (2, 1, 3)][int(rng.integers(5))]
    dtype = np.int64 if coin(rng) else np.int32
    index = np.asarray(rng.integers(-size, size, count), dtype)
    if coin(rng) and len(count) == 1:
        index = np.asarray(rng.permutation(size)[: max(1, size - 1)], dtype)  # every position at most once
    wrap = const if coin(rng) else fed
    note = f"{np.array2string(index, separator=',').replace(chr(10), '')}{wrap.__name__}"
    return Sample("Gather", (var(smooth(rng, *shape)), wrap(index)), {"axis": axis}, note=note)


_RNG = np.random.default_rng(9)
listed(
    __name__,
    Sample("Slice", (var(smooth(_RNG, 4, 5)), const(np.array([1])), const(np.array([3])))),
    Sample("Slice", (var(smooth(_RNG, 4, 5)), const(np.array([1, -2])), const(np.array([3, _FAR])))),
    Sample("Slice", (var(smooth(_RNG, 4, 5)), sized(np.array([1, 0])), sized(np.array([3, 4])))),
    Sample("Slice", (var(smooth(_RNG, 4, 5)), sized(np.array([1])), sized(np.array([3])), const(np.array([-1])))),
    # 32-bit positions, backwards to the very beginning.
    Sample(
        "Slice",
        (
            var(smooth(_RNG, 6)),
            *(const(np.array([n], np.int32)) for n in (-1, -(2**31), 0, -2)),
        ),
    ),
    Sample(
        "Slice",
        (var(smooth(_RNG, 6)), *(const(np.array([n], np.int64)) for n in (5, -7, 0, -1))),
        note="ends before the beginning",
    ),
    Sample(
        "Slice",
        (var(smooth(_RNG, 6)), *(const(np.array([n], np.int64)) for n in (-9, 4, 0, 2))),
        note="starts before the beginning",
    ),
)
