from __future__ import annotations

from dataclasses import replace

from onnxcam.targets import Box
from tests.targets.samples import BOXES, CLASSES, Sample, Samples, random_scores

SCORES = random_scores(BOXES)
BEST = SCORES[:, 4:].max(axis=1)
ORDER = [int(box) for box in (-BEST).argsort()]
HIGH_5 = int(SCORES[:, 5].argmax())
BOXES_LAST = replace(BOXES, shape=("n", 7, 4), box_axis=2)

SAMPLES = Samples(
    resolved=[
        Sample(Box(2), SCORES, BEST[2], 2, "box 2", BOXES),
        Sample(Box(2), SCORES.T, BEST[2], 2, "box 2", BOXES_LAST),
        Sample(Box(2, 6), SCORES, SCORES[2, 6], 2, "box 2, value 6", BOXES),
        Sample(Box(2, 0), SCORES, SCORES[2, 0], 2, "box 2, value 0", BOXES),
        Sample(Box(), SCORES, BEST[ORDER[0]], ORDER[0], "box of rank 1", BOXES),
        Sample(Box(rank=1), SCORES, BEST[ORDER[1]], ORDER[1], "box of rank 2", BOXES),
        Sample(Box(rank=1), SCORES.T, BEST[ORDER[1]], ORDER[1], "box of rank 2", BOXES_LAST),
        Sample(Box(-1, 5), SCORES, SCORES[HIGH_5, 5], HIGH_5, "box of rank 1, value 5", BOXES),
    ],
    refused=[
        (Box(0), CLASSES, "name a class"),
        (Box(4), BOXES, "box 4 does not exist: there are 4 boxes of 7 values"),
        (Box(0, 7), BOXES, "box 0, value 7 does not exist"),
        (Box(rank=4), BOXES, "there is no number 5 among 4 predictions"),
    ],
    texts={"box:12": ["box 12"], "box:12:5": ["box 12, value 5"]},
    wrong_texts={
        "box:": "target 'box:' is incomplete; the forms are",
        "box:x": "'x' in the target 'box:x' is no integer from 0",
        "box:-1": "'-1' in the target 'box:-1' is no integer from 0",
        "box:1:": "'' in the target 'box:1:' is no integer from 0",
        "box:1:2:3": "has too many parts; write box:INDEX or box:INDEX:VALUE",
    },
)
