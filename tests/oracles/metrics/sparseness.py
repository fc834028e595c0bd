from __future__ import annotations

from typing import Any

from tests.oracles.metrics import Samples, View, maps_of


def oracle(metric: Any, view: View, sample: int) -> float:
    """Half the mean absolute difference of all pairs of values over their mean, as the Gini index is often defined."""
    values = [abs(float(value)) for value in view.maps[sample].ravel()]
    total, differences = sum(values), 0.0
    for one in values:
        for other in values:
            differences += abs(one - other)
    return differences / (2 * len(values) * total) if total else 0.0


SAMPLES = Samples(
    oracle,
    by_hand=[
        (
            maps_of([[1, 1], [1, 1]], [[0, 0], [-5, 0]], [[0, 0], [0, 0]], [[1, 0], [0, 1]], [[1, 2], [3, 4]]),
            {},
            [0, 3 / 4, 0, 1 / 2, 1 / 4],
        )
    ],
)
