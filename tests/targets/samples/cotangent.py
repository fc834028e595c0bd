from __future__ import annotations

import hashlib

import numpy as np

from onnxcam.graph.analysis.score import Score
from onnxcam.targets import Cotangent
from tests.targets.samples import CLASSES, DENSE, UNKNOWN, Sample, Samples, random_scores

VECTOR = random_scores(CLASSES)
WEIGHTS = np.array([1, 0, -2, 0, 0.5], np.float32)
MAP = random_scores(UNKNOWN)
THREE = np.array([[3]], np.float32)
ONE = Score("y", None, ("n", 1), ())


def described(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
    return f"cotangent {hashlib.sha256(array.tobytes()).hexdigest()[:12]}"


SAMPLES = Samples(
    resolved=[
        Sample(Cotangent(WEIGHTS, 2), VECTOR, VECTOR[0] - 2 * VECTOR[2] + VECTOR[4] / 2, 2, described(WEIGHTS)),
        Sample(Cotangent(np.abs(MAP)), MAP, (np.abs(MAP) * MAP).sum(), 0, described(np.abs(MAP)), UNKNOWN),
        # A number alone stands for a vector of one score.
        Sample(Cotangent(THREE), VECTOR[:1], 3 * VECTOR[0], 0, described(THREE), ONE),
    ],
    refused=[
        (Cotangent(WEIGHTS[:4]), CLASSES, "does not fit"),
        (Cotangent(WEIGHTS), DENSE, "does not fit"),
    ],
)
