"""Repetition, triangles, filling, remainders, and sums over named axes."""

from __future__ import annotations

import numpy as np

from tests.helpers.sample import Sample, const, fed, listed, sized, smooth, var

_RNG = np.random.default_rng(22)


def _x(*shape: int) -> np.ndarray:
    return smooth(_RNG, *shape)


_INDEX = np.array([[1, 3], [0, -1]], np.int64)
_PAIR = np.array([0.3, 1.2])
_EINSUMS: list[tuple[str, tuple[tuple[int, ...], ...]]] = [
    ("ij,jk->ik", ((2, 3), (3, 4))),
    ("bij,bjk->bik", ((2, 3, 4), (2, 4, 5))),
    ("bhid,bhjd->bhij", ((2, 3, 4, 2), (2, 3, 5, 2))),
    ("ij,jk", ((2, 3), (3, 4))),
    ("i,j->ij", ((3,), (4,))),
    ("ij->ji", ((2, 3),)),
    ("ijk->j", ((2, 3, 4),)),
    ("ij->", ((2, 3),)),
    ("...ij,...jk->...ik", ((2, 3, 4), (2, 4, 5))),
    ("...ij,jk->...ik", ((2, 2, 3, 4), (4, 5))),
    ("b...,b...->b...", ((2, 3, 4), (2, 3, 4))),
    ("ij,ik->jk", ((2, 3), (2, 4))),
    ("ij,kl->il", ((2, 3), (4, 5))),
    ("ii->i", ((3, 3),)),
    ("ii->", ((3, 3),)),
    ("bii->bi", ((2, 3, 3),)),
]

listed(
    __name__,
    Sample("Tile", (var(_x(2, 3)), const(np.array([2, 3])))),
    Sample("Tile", (var(_x(2, 1, 3)), sized(np.array([1, 4, 2])))),
    Sample("Tile", (var(_x(3)), const(np.array([1])))),
    Sample("Trilu", (var(_x(3, 4)),)),
    Sample("Trilu", (var(_x(2, 4, 3)), const(np.int64(-1))), {"upper": 0}),
    Sample("Trilu", (var(_x(2, 4, 3)), fed(np.int64(1)))),
    Sample("OneHot", (fed(_INDEX), const(np.int64(4)), var(_PAIR))),
    Sample("OneHot", (const(_INDEX), const(np.int64(4)), var(_PAIR)), {"axis": 1}),
    Sample("Mod", (var(_x(2, 3) * 3), var(_x(2, 3))), {"fmod": 1}),
    Sample("Mod", (var(_x(2, 3) * 3), var(_x(3))), {"fmod": 1}),
    *(Sample("Einsum", tuple(var(_x(*s)) for s in shapes), {"equation": e}) for e, shapes in _EINSUMS),
)
