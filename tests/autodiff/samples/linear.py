"""Matrix products of all ranks."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Sample, coin, const, listed, samples, smooth, var


@samples(16)
def gemm(rng: np.random.Generator) -> Sample:
    rows, inner, columns = 2, 3, 4
    trans_a, trans_b = coin(rng), coin(rng)
    a = smooth(rng, *((inner, rows) if trans_a else (rows, inner)))
    b = smooth(rng, *((columns, inner) if trans_b else (inner, columns)))
    shapes: list[tuple[int, ...] | None] = [None, (), (1,), (columns,), (1, columns), (rows, 1), (rows, columns)]
    chosen = shapes[int(rng.integers(len(shapes)))]
    c = [] if chosen is None else [var(smooth(rng, *chosen))]
    attributes = {"alpha": float(rng.choice([1, 0.5, -2])), "beta": float(rng.choice([1, 0.25, -1]))}
    return Sample("Gemm", (var(a), var(b), *c), {**attributes, "transA": trans_a, "transB": trans_b})


_RNG = np.random.default_rng(5)
_PAIRS = (
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((2, 1, 2, 3), (1, 4, 3, 2)),
)
listed(__name__, *(Sample("MatMul", (var(smooth(_RNG, *a)), var(smooth(_RNG, *b)))) for a, b in _PAIRS))
listed(
    __name__,
    Sample("MatMul", (var(smooth(_RNG, 2, 3)), const(smooth(_RNG, 3, 4)))),
    Sample("MatMul", (const(smooth(_RNG, 2, 2, 3)), var(smooth(_RNG, 3, 4)))),
)
listed(
    __name__,
    *(
        Sample(
            "Inverse",
            (var(smooth(_RNG, *shape) * 0.3 + 2 * np.eye(shape[-1])),),
            oracle="float32",
            domain="com.microsoft",
        )
        for shape in ((3, 3), (2, 3, 3), (2, 1, 4, 4))
    ),
)
