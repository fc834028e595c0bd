"""Functions of several inputs that are broadcast against each other."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Sample, const, distinct, fed, listed, positive, samples, smooth, var

_PAIRS = (
    ((2, 3, 4), (2, 3, 4)),
    ((2, 3, 4), (3, 1)),
    ((4,), (2, 1, 4)),
    ((2, 1, 4), (1, 3, 1)),
    ((), (2, 3)),
    ((2, 3), ()),
    ((1, 1), (2, 3)),
    ((3, 1, 1), (2, 1, 4, 5)),
    ((1,), (1, 1)),
)

_RNG = np.random.default_rng(4)

for _op in ("Add", "Sub", "Mul", "Div"):
    listed(__name__, *(Sample(_op, (var(smooth(_RNG, *a)), var(smooth(_RNG, *b)))) for a, b in _PAIRS))
    listed(
        __name__,
        Sample(_op, (var(smooth(_RNG, 2, 3)), const(smooth(_RNG, 1, 3)))),
        Sample(_op, (const(smooth(_RNG, 2, 3)), var(smooth(_RNG, 3)))),
    )
listed(__name__, *(Sample("PRelu", (var(smooth(_RNG, 2, 3, 4)), var(smooth(_RNG, *b)))) for b in ((3, 1), (1,), (4,))))

# Powers: a positive base, then a negative one with whole exponents that the file fixes or feeds.
listed(__name__, *(Sample("Pow", (var(positive(_RNG, *a)), var(smooth(_RNG, *b)))) for a, b in _PAIRS))
listed(
    __name__,
    *(
        Sample("Pow", (var(smooth(_RNG, 2, 3)), const(np.asarray(exponent))), note=f"power{exponent}")
        for exponent in (2.0, 3.0, -1.0, 1.0, 0.0, np.int64(2), np.int32(3))
    ),
    Sample("Pow", (var(smooth(_RNG, 2, 3)), const(np.array([2.0, 0.0, 1.0])))),
    Sample("Pow", (var(smooth(_RNG, 2, 3)), fed(np.array([2.0, 0.0, 3.0])))),
    Sample("Pow", (var(smooth(_RNG, 2, 3)), fed(np.array([2, 0, 3])))),
    Sample("Pow", (const(positive(_RNG, 2, 3)), var(smooth(_RNG, 3)))),
)


def _shapes(rng: np.random.Generator, count: int) -> list[tuple[int, ...]]:
    """Return shapes that broadcast together: leading axes missing, some of the others 1."""
    full = (2, 3, 2)
    return [
        tuple(int(size if rng.random() < 0.6 else 1) for size in full[int(rng.integers(0, 3)) :]) for _ in range(count)
    ]


@samples(8)
def total(rng: np.random.Generator) -> Sample:
    return Sample("Sum", tuple(var(smooth(rng, *s)) for s in _shapes(rng, int(rng.integers(1, 4)))))


@samples(8)
def mean(rng: np.random.Generator) -> Sample:
    return Sample("Mean", tuple(var(smooth(rng, *s)) for s in _shapes(rng, int(rng.integers(1, 4)))))


def _extremum(op: str, rng: np.random.Generator) -> Sample:
    shapes = _shapes(rng, int(rng.integers(1, 4)))
    # Different offsets: no two inputs ever hold the same number.
    return Sample(op, tuple(var(distinct(rng, *s) / 2 + 0.007 * i) for i, s in enumerate(shapes)))


@samples(8)
def largest(rng: np.random.Generator) -> Sample:
    return _extremum("Max", rng)


@samples(8)
def smallest(rng: np.random.Generator) -> Sample:
    return _extremum("Min", rng)


@samples(8)
def where(rng: np.random.Generator) -> Sample:
    condition, a, b = _shapes(rng, 3)
    return Sample("Where", (fed(rng.random(condition) < 0.5), var(smooth(rng, *a)), var(smooth(rng, *b))))
