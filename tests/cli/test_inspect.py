from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnxcam
from tests.helpers.commands import colour_model, run, save
from tests.helpers.models import floats, model
from tests.helpers.shared import shared_path

COLOURS = """\
m.onnx: 0.6 kB, exported by test 1.0, opset 18

input     x  float32  n x 3 x 8 x 8  NCHW
output    y  float32  n x 3
batch     open: any number of images per run
score     pooled  n x 3 x 1 x 1
          softmax turns it into probabilities
          followed in the model by Flatten, Softmax
gradient  every operator between input and score has a rule
metadata  preprocessing (onnxcam.preprocess)
          labels (onnxcam.labels)

layers, the last one first (for --layer, by index or name):
  INDEX  NAME  OPERATOR  SHAPE          AXES
  -1     a     Relu      n x 3 x 8 x 8  NCHW  default
"""


def test_a_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(colour_model(), tmp_path / "m.onnx")
    ran = run(capsys, "inspect", path)
    assert (ran.code, ran.err) == (0, "")
    size = f"{path.stat().st_size / 1e3:.1f} kB"
    assert ran.out == COLOURS.replace("0.6 kB", size)


def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(colour_model(), tmp_path / "m.onnx")
    ran = run(capsys, "inspect", path, "--json")
    found = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["n", 3, 8, 8], "axes": "NCHW"}]
    assert found["score"] == {
        "name": "pooled",
        "shape": ["n", 3, 1, 1],
        "activation": "softmax",
        "passed": ["Softmax", "Flatten"],
        "kind": "classes",
        "box_axis": None,
        "coordinates": None,
    }
    assert found["layers"] == [
        {
            "index": -1,
            "name": "a",
            "node": found["layers"][0]["node"],
            "operator": "Relu",
            "shape": ["n", 3, 8, 8],
            "axes": "NCHW",
            "gradient": True,
            "zero_sum": False,
            "default": True,
        }
    ]
    assert found["bytes"] == path.stat().st_size
    assert (found["operators_without_rule"], found["problems"]) == ({}, [])


def test_another_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(colour_model(), tmp_path / "m.onnx")
    assert "score     y  n x 3\n" in run(capsys, "inspect", path, "--score", "y").out
    ran = run(capsys, "inspect", path, "--score", "logit")
    assert (ran.code, ran.out) == (5, "")
    assert "did you mean logits" in ran.err


@pytest.mark.parametrize(("batch", "message"), [("1", "fixed at 1 in the file; any number"), ("2", "2 at a time")])
def test_a_fixed_batch(batch: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        f"g (float[{batch}, 3, 8, 8] x) => (float[{batch}, 4] y) {{ a = Conv(x, w) y = ReduceMean<keepdims=0>(a, k) }}"
    )
    weights = {"w": floats(4, 3, 3, 3), "k": np.array([2, 3])}
    ran = run(capsys, "inspect", save(model(text, weights), tmp_path / "m.onnx"))
    assert ran.code == 0
    assert message in ran.out


def test_operators_without_a_rule_are_all_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) {
        c = Conv(x, w) a = my.own.Twist(c) b = my.own.Turn(a) d = my.own.Twist(b)
        p = GlobalAveragePool(d) y = Flatten(p)
    }"""
    proto = model(text, {"w": floats(4, 3, 3, 3)})
    proto.opset_import.append(onnx.helper.make_opsetid("my.own", 1))
    ran = run(capsys, "inspect", save(proto, tmp_path / "m.onnx"))
    assert (ran.code, ran.err) == (0, "")
    assert "gradient  2 operators without a rule, listed below\n" in ran.out
    listed = ran.out.partition("without a gradient rule:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == ["my.own:Turn", "my.own:Twist"]
    assert "problem: onnxruntime rejects the model" in ran.out


@pytest.mark.parametrize(
    "name",
    [
        "shufflenet_v2_qlinear_int8",
        "mobilenet_v1_tf_qdq_uint8",
        "person_tflite_int8",
        "deeplabv3_tf_segmentation",
        "yolox_nano_detection",
        "ultraface_slim_face",
        "vittracker_two_inputs",
    ],
)
def test_models_that_are_hard_to_explain(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared_path("models", f"{name}.onnx")
    ran = run(capsys, "inspect", path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{name}.onnx: ")
    assert "\n  -1 " in ran.out
    assert max(map(len, ran.out.partition("\nproblem: ")[0].partition("operators between")[0].splitlines())) < 140
    found = json.loads(run(capsys, "inspect", path, "--json").out)
    assert all(layer["name"] for layer in found["layers"])


def test_no_score_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "g (float[n, 3, 8, 8] x) => (int64[4] y) { a = Relu(x) y = Shape(a) }"
    ran = run(capsys, "inspect", save(model(text), tmp_path / "m.onnx"))
    assert (ran.code, ran.err) == (0, "")
    assert "\nproblem: no output of the model is computed from floating-point scores" in ran.out


def test_detections_say_along_which_axis_they_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "g (float[n, 3, 4, 4] x) => (float[n, 7, 16] y) { c = Conv (x, w) y = Reshape (c, s) }"
    weights = {"w": floats(7, 3, 1, 1), "s": np.array([0, 7, -1])}
    path = save(model(text, weights), tmp_path / "m.onnx")
    assert "detections lie along axis 2, the values of each along axis 1" in run(capsys, "inspect", path).out
    score = json.loads(run(capsys, "inspect", path, "--json").out)["score"]
    assert (score["kind"], score["box_axis"], score["coordinates"]) == ("boxes", 2, 4)


def test_a_network_that_normalises_after_pooling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its maps sum to 0, which the list of layers says."""
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) {
        c = Conv (x, w) a = Relu (c) p = GlobalAveragePool (a) f = Flatten (p)
        y = LayerNormalization <axis = 1> (f, scale, shift)
    }"""
    proto = model(text, {"w": floats(4, 3, 3, 3), "scale": floats(4, seed=1), "shift": floats(4, seed=2)})
    path = save(proto, tmp_path / "m.onnx")
    assert "NCHW  default, normalised after pooling: maps sum to 0" in run(capsys, "inspect", path).out
    assert [layer["zero_sum"] for layer in json.loads(run(capsys, "inspect", path, "--json").out)["layers"]] == [True]
    raw = onnxcam.Explainer(proto, preprocess="unit")(floats(3, 3, 8, 8), 1).raw
    assert (np.abs(raw.sum(axis=(1, 2))) < 1e-4 * np.abs(raw).sum(axis=(1, 2))).all()
