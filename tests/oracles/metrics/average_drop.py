from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests.oracles.metrics import Samples, View


def oracle(metric: Any, view: View, sample: int) -> float:
    one, image = view.maps[sample], view.images[sample]
    peak = max(max(float(value) for value in one.ravel()), 0.0)
    before, after = 0.0, 0.0
    for channel in image:
        for value, weight in zip(channel.ravel(), one.ravel(), strict=True):
            share = max(float(weight), 0.0) / peak if peak > 0 else 0.0
            before += float(value) / image.size
            after += float(value) * share / image.size
    p, q = (1 / (1 + math.exp(-view.bias - mean)) for mean in (before, after))
    return max(0.0, p - q) / p


# Images of ones times log(3): the probability is 3/4, and 1/2 where everything is hidden.
_ONES = np.full((3, 1, 1, 2), math.log(3))
_MASKS = np.ones((3, 1, 2), bool)

SAMPLES = Samples(
    oracle,
    by_hand=[
        # Nothing hidden; everything hidden; negative values hidden, and less than nothing lost when the image is dark.
        (View(np.array([[[2.0, 2]], [[0, 0]], [[-1, -3]]]), _ONES, _MASKS), {}, [0, 1 / 3, 1 / 3]),
        (View(np.array([[[1.0, 0]], [[0, 0]], [[4, 1]]]), -_ONES, _MASKS), {}, [0, 0, 0]),
    ],
)
