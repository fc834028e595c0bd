"""Reductions over every kind of axes."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import (
    Array,
    Attribute,
    Sample,
    coin,
    const,
    distinct,
    fed,
    listed,
    positive,
    sized,
    smooth,
    var,
)

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

# Axes that are computed while the graph runs.
for _op in _OPERATORS:
    _spread = var(_numbers(_op, _RNG, _SHAPE))
    listed(
        __name__,
        *(
            Sample(_op, (_spread, sized(np.array(axes, np.int64))), {"keepdims": keepdims}, note=f"computed{axes}")
            for axes, keepdims in [([1], 0), ([-1, 0], 0), ([0, -2], 1)]
        ),
    )
# Of none of them, all axes are meant, or none.
for _noop in (0, 1):
    for _op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceProd"):
        _attributes = {"keepdims": 1 - _noop, "noop_with_empty_axes": _noop}
        _none = sized(np.array([], np.int64))
        listed(__name__, Sample(_op, (var(_numbers(_op, _RNG, _SHAPE)), _none), _attributes, note="none computed"))

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
