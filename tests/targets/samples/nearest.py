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
    ],
    refused=[
        (Nearest(Class(0), 1, 1), DENSE, "nearest classes need one score a class"),
        (Nearest(Class(5), 1, 1), CLASSES, "class 5 does not exist"),
    ],
)
