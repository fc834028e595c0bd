"""Targets by index and by label, and where labels and preprocessing come from."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

import onnxcam
from onnxcam.errors import ModelError, NameNotFoundError, TargetError
from onnxcam.targets.batch import Targets
from tests.helpers.explained import LABELS
from tests.helpers.models import classifier, floats


@pytest.mark.parametrize(
    ("targets", "expected"), [(3, [3, 3]), ("cat", [2, 2]), (["bee", 4], [1, 4]), (np.array([0, 1]), [0, 1])]
)
def test_targets_go_by_index_or_label(targets: Targets, expected: list[int]) -> None:
    result = onnxcam.Explainer(classifier(), labels=LABELS)(floats(2, 3, 8, 8), targets)
    np.testing.assert_array_equal(result.targets, expected)


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        (5, TargetError, "5 classes, 0 to 4"),
        (-1, TargetError, "count from 0"),
        ([1, 2, 3], TargetError, "3 targets for 2 samples"),
        ("cow", NameNotFoundError, "no label"),
        (1.5, TargetError, "a label or a Target"),
    ],
)
def test_wrong_targets_are_refused(targets: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        onnxcam.Explainer(classifier(), labels=LABELS)(floats(2, 3, 8, 8), targets)  # type: ignore[arg-type]


def test_a_name_without_labels_is_refused() -> None:
    with pytest.raises(TargetError, match="--labels"):
        onnxcam.Explainer(classifier())(floats(1, 3, 8, 8), "cat")


def test_labels_and_preprocessing_come_from_the_metadata() -> None:
    proto = classifier()
    onnx.helper.set_model_props(
        proto,
        {
            "onnxcam.labels": json.dumps(LABELS),
            "onnxcam.preprocess": '{"channels": "RGB", "mean": [0], "std": [1], "scale": 1}',
        },
    )
    explainer = onnxcam.Explainer(proto)
    assert explainer.labels == tuple(LABELS)
    assert explainer.preprocessing[0].scale == 1
    onnx.helper.set_model_props(proto, {"onnxcam.labels": "{"})
    with pytest.raises(ModelError, match="no JSON list"):
        onnxcam.Explainer(proto)
