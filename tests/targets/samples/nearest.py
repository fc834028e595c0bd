from __future__ import annotations

import numpy as np

from onnxcam.targets import Class, Nearest
from tests.targets.samples import CLASSES, DENSE, Sample, Samples

VECTOR = np.array([0.5, 3, -1, 2, 0], np.float32)

SAMPLES = Samples(
    resolved=[
        Sample(
            Nearest(Class(), 1, 0.5),
            VECTOR,
            3 - 0.5 * 2,
            1,
            "predicted class of rank 1 less 0.5 times the mean of the 1 nearest",
        ),
        Sample(Nearest(Class(4), 2, 1), VECTOR, 0 - (0.5 - 1) / 2, 4, "class 4 less 1 times the mean of the 2 nearest"),
        Sample(
            Nearest(Class(3), 9, 1),
            VECTOR,
            2 - (0.5 + 3 - 1 + 0) / 4,
            3,
            "class 3 less 1 times the mean of the 9 nearest",
        ),
        # The classes 3 and 0, of scores 2 and 0.5: shares 0.8176 and 0.1824, their mean score 1.7264.
        Sample(
            Nearest(Class(1), 2, 1, "probability"),
            VECTOR,
            3 - 0.8175745 * 2 * (1 + 2 - 1.7263617) - 0.1824255 * 0.5 * (1 + 0.5 - 1.7263617),
            1,
            "class 1 less 1 times the mean of the 2 nearest, weighted by probability",
        ),
    ],
    refused=[
        (Nearest(Class(0), 1, 1), DENSE, "nearest classes need one score a class"),
        (Nearest(Class(5), 1, 1), CLASSES, "class 5 does not exist"),
    ],
)
