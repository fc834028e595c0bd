"""What inspection reports as a problem, and what not."""

from __future__ import annotations

import pytest

from onnxcam.diagnostics.inspection import inspect
from tests.helpers.models import classifier, floats, model
from tests.helpers.shared import shared_path


@pytest.mark.parametrize("name", ["yolox_nano_detection", "ultraface_slim_face", "deeplabv3_tf_segmentation"])
def test_scores_that_are_no_vector_of_classes_are_no_problem(name: str) -> None:
    found = inspect(shared_path("models", f"{name}.onnx"))
    assert found.score is not None
    assert found.score.kind != "classes"
    assert found.problems == ()


def test_a_classifier_has_no_problems_and_a_layer_without_gradient_is_one() -> None:
    assert inspect(classifier()).problems == ()
    body = "c = Conv (x, w) a = Relu (c) b = Det (a) y = Flatten (b)"
    text = f"g (float[n, 3, 8, 8] x) => (float[n, 4] y) {{ {body} }}"
    (problem,) = inspect(model(text, {"w": floats(4, 3, 3, 3)})).problems
    assert "Det" in problem
