from __future__ import annotations

import hashlib

import numpy as np

from onnxcam.targets import Class
from tests.targets.samples import BOXES, CHANNELS_LAST, CLASSES, DENSE, UNKNOWN, Sample, Samples, random_scores

VECTOR = np.array([0.1, 3, -1, 2, 0.5], np.float32)
MAP = random_scores(DENSE)
DETECTIONS = random_scores(BOXES)
WINNERS = MAP.argmax(axis=0)
COMMONEST = int(np.bincount(WINNERS.ravel()).argmax())
MASK = np.zeros((2, 4), bool)
MASK[1, 2:] = True
LARGE = MASK.repeat(3, axis=0).repeat(2, axis=1)
BEST = int(DETECTIONS[:, 4:].max(axis=1).argmax())


def digest(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> str:
    return hashlib.sha256(mask.tobytes()).hexdigest()[:12]


SAMPLES = Samples(
    resolved=[
        Sample(Class(2), VECTOR, -1, 2, "class 2"),
        Sample(Class(), VECTOR, 3, 1, "predicted class of rank 1"),
        Sample(Class(rank=1), VECTOR, 2, 3, "predicted class of rank 2"),
        Sample(Class(rank=4), VECTOR, -1, 2, "predicted class of rank 5"),
        Sample(
            Class(), MAP, MAP[COMMONEST][WINNERS == COMMONEST].mean(), COMMONEST, "predicted class of rank 1", DENSE
        ),
        Sample(Class(2, MASK), MAP, MAP[2, 1, 2:].mean(), 2, f"class 2 over mask {digest(MASK)}", DENSE),
        Sample(Class(2, LARGE), MAP, MAP[2, 1, 2:].mean(), 2, f"class 2 over mask {digest(LARGE)}", DENSE),
        Sample(
            Class(2, MASK),
            MAP.transpose(1, 2, 0),
            MAP[2, 1, 2:].mean(),
            2,
            f"class 2 over mask {digest(MASK)}",
            CHANNELS_LAST,
        ),
        Sample(Class(), DETECTIONS, DETECTIONS[BEST, 4:].max(), BEST, "predicted class of rank 1", BOXES),
    ],
    refused=[
        (Class(5), CLASSES, "class 5 does not exist: the model has 5 classes"),
        (Class(rank=5), CLASSES, "there is no number 6 among 5 predictions"),
        (Class(0, np.zeros((2, 4), bool)), DENSE, "the mask of the target is empty"),
        (Class(0, np.ones(3, bool)), DENSE, "does not fit"),
        (Class(0), UNKNOWN, "unknown axes"),
    ],
    texts={
        "predicted": ["predicted class of rank 1"],
        "3": ["class 3"],
        "+3": ["class 3"],
        "dog": ["class 3"],
        "pug-dog": ["class 1"],
        "tabby": ["class 15"],
        "top:2": ["predicted class of rank 1", "predicted class of rank 2"],
        "top:3": [f"predicted class of rank {rank}" for rank in (1, 2, 3)],
        # The image that the tests write: its upper half is bright.
        "mask:region.png:15": [f"class 15 over mask {digest(np.repeat([True, False], 6).reshape(2, 6))}"],
    },
    wrong_texts={
        "mask:region.png:": "target 'mask:region.png:' lacks a class; the forms are",
        "tops:3": "no label is named 'tops:3'; the forms of a target are",
        "": "a target is empty; the forms are INDEX | LABEL |",
        " ": "a target is empty",
        "cow": "no label is named 'cow'",
        "-1": "class -1 does not exist",
        "9999999999999": "class 9999999999999 does not exist",
        "top:": "target 'top:' is incomplete; the forms are",
        "top:0": "'0' in the target 'top:0' is no integer from 1 to",
        "top:x": "'x' in the target 'top:x' is no integer",
        "top:999999999": "'999999999' in the target 'top:999999999' is no integer from 1 to 100000",
        "mask:region.png": "names no class; write mask:FILE:CLASS",
        "mask:region.png:cow": "no label is named 'cow'",
        "mask:absent.png:3": "absent.png: no such file",
    },
)
