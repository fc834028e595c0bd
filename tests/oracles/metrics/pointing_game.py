from __future__ import annotations

from typing import Any

import numpy as np

from tests.oracles.metrics import Samples, View, maps_of


def oracle(metric: Any, view: View, sample: int) -> float:
    one, mask = view.maps[sample], view.masks[sample]
    rows, columns = one.shape
    peak = max(float(value) for value in one.ravel())
    hits, peaks = 0, 0
    for row in range(rows):
        for column in range(columns):
            if float(one[row, column]) != peak:
                continue
            peaks += 1
            near = False
            for y in range(rows):
                for x in range(columns):
                    if mask[y, x] and (y - row) ** 2 + (x - column) ** 2 <= metric.tolerance**2:
                        near = True
            hits += near
    return hits / peaks


_LEFT = np.array([[[1, 0, 0, 0]] * 2] * 3, bool)
_THREE = maps_of([[9, 0, 0, 0], [0, 0, 0, 0]], [[0, 0, 1, 0], [0, 0, 0, 0]], [[1, 1, 1, 1], [1, 1, 1, 1]], masks=_LEFT)

SAMPLES = Samples(
    oracle,
    by_hand=[
        (_THREE, {"tolerance": 0}, [1, 0, 1 / 4]),
        (_THREE, {"tolerance": 1}, [1, 0, 1 / 2]),
        (_THREE, {"tolerance": 2}, [1, 1, 3 / 4]),
        (_THREE, {}, [1, 1, 1]),
    ],
    fields=[{"tolerance": 0}, {"tolerance": 2}],
)
