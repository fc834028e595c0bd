"""Reductions over every kind of axes."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Array, Attribute, Sample, coin, const, distinct, fed, listed, positive, smooth, var

_SHAPE = (2, 3, 4)
_OPERATORS = (
    "ReduceSum",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSum",
    "ReduceLogSumExp",
)


def _numbers(op: str, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    if op in ("ReduceMax", "ReduceMin"):
        return distinct(rng, *shape)
    return positive(rng, *shape) if op == "ReduceLogSum" else smooth(rng, *shape)


def _cases(op: str, rng: np.random.Generator) -> list[Sample]:
    def make(axes: list[int] | None, shape: tuple[int, ...] = _SHAPE, **attributes: Attribute) -> Sample:
        given = () if axes is None else (const(np.array(axes, np.int64)),)
        return Sample(op, (var(_numbers(op, rng, shape)), *given), attributes, note=str(axes))

    return [
        make(None),
        make(None, keepdims=0),
        make([], keepdims=coin(rng)),
        make([1], keepdims=0),
        make([-1], keepdims=1),
        make([2, 0], keepdims=0),
        make([-3, -1], keepdims=1),
        make([0], (5,), keepdims=0),
    ]


_RNG = np.random.default_rng(11)
for _op in _OPERATORS:
    listed(__name__, *_cases(_op, _RNG))

# Maps, whose means are spread in the blocked layout.
for _op in ("ReduceSum", "ReduceMean", "ReduceLogSum"):
    for _keep in (0, 1):
        _x = var(_numbers(_op, _RNG, (2, 16, 3, 2)))
        listed(__name__, Sample(_op, (_x, const(np.array([2, 3], np.int64))), {"keepdims": _keep}))

# With no axes and noop_with_empty_axes an operator only applies its element-wise part. Engines do not agree on what
# that is for the norms and logarithms: tests/autodiff/test_edges.py holds those to the specification.
for _op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"):
    listed(
        __name__,
        Sample(_op, (var(_numbers(_op, _RNG, _SHAPE)),), {"noop_with_empty_axes": 1}),
        Sample(_op, (var(_numbers(_op, _RNG, _SHAPE)), const(np.array([], np.int64))), {"noop_with_empty_axes": 1}),
    )

listed(
    __name__,
    *(
        Sample(
            "CumSum",
            (var(smooth(_RNG, 2, 3, 4)), const(np.int64(axis))),
            {"exclusive": exclusive, "reverse": reverse},
            note=f"axis{axis}",
        )
        for axis, exclusive, reverse in [(0, 0, 0), (1, 1, 0), (-1, 0, 1), (2, 1, 1)]
    ),
    Sample("CumSum", (var(smooth(_RNG, 4)), fed(np.int32(0)))),
)
