from __future__ import annotations

from onnxcam.targets import Difference
from tests.targets.samples import CLASSES, DENSE, Sample, Samples, random_scores

VECTOR = random_scores(CLASSES)
MAP = random_scores(DENSE)
WINNERS = MAP.argmax(axis=0)

SAMPLES = Samples(
    resolved=[
        Sample(Difference(3, (0,)), VECTOR, VECTOR[3] - VECTOR[0], 3, "class 3 less 1 times the mean of 0"),
        Sample(
            Difference(3, (1, 4), weight=0.5),
            VECTOR,
            VECTOR[3] - (VECTOR[1] + VECTOR[4]) / 4,
            3,
            "class 3 less 0.5 times the mean of 1 and 4",
        ),
        Sample(
            Difference(-1, (0,)),
            VECTOR,
            VECTOR.max() - VECTOR[0],
            int(VECTOR.argmax()),
            "predicted class of rank 1 less 1 times the mean of 0",
        ),
        Sample(
            Difference(2, (0,)),
            MAP,
            MAP[2][WINNERS == 2].mean() - MAP[0][WINNERS == 0].mean(),
            2,
            "class 2 less 1 times the mean of 0",
            DENSE,
        ),
    ],
    refused=[
        (Difference(0, (5,)), CLASSES, "class 5 does not exist"),
        (Difference(5, (0,)), CLASSES, "class 5 does not exist"),
    ],
    texts={
        "3-5": ["class 3 less 1 times the mean of 5"],
        "dog-ant": ["class 3 less 1 times the mean of 0"],
        "pug-dog-cat": ["class 1 less 1 times the mean of 2"],
        "cat-pug-dog": ["class 2 less 1 times the mean of 1"],
        "dog-2": ["class 3 less 1 times the mean of 2"],
    },
    wrong_texts={"cow-dog": "no label is named 'cow-dog'", "dog-": "no label is named 'dog-'"},
)
