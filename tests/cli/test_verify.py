from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxcam.attribution.settings import ExplainerOptions
from onnxcam.cli import options
from onnxcam.diagnostics import verification
from tests.helpers.commands import colour_model, draw, run, save
from tests.helpers.models import classifier

LINES = """\
m.onnx on CPUExecutionProvider, score 'pooled'

AT         CHECK                                     ERROR  ALLOWED  VERDICT
layer 'a'  gradient against that of the head alone  E      1e-02    agrees
layer 'a'  gradient against differences              E      3e-03    agrees   float64, step 1e-07
input 'x'  gradient against that of the head alone  E      1e-02    agrees
input 'x'  gradient against differences              E      3e-03    agrees   float64, step 1e-07
"""


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_right_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "verify", save(colour_model(), tmp_path / "m.onnx"))
    assert (ran.code, ran.err) == (0, "")
    for found, wanted in zip(words(ran.out), words(LINES), strict=True):
        assert [word if want != "E" else "E" for word, want in zip(found, wanted, strict=True)] == wanted


def test_with_images_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(colour_model(), tmp_path / "m.onnx")
    images = [draw(tmp_path / f"{colour}.png", colour) for colour in ("red", "green")]
    ran = run(capsys, "verify", model, *images, "--json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert (found["format"], found["agrees"], found["layer"]) == ("onnxcam-verification-1", True, "a")
    assert {check["verdict"] for check in found["checks"]} == {"agrees"}
    assert all(check["error"] <= check["tolerance"] for check in found["checks"])


def test_another_layer_and_copies_of_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(classifier(), tmp_path / "m.onnx")
    ran = run(capsys, "verify", model, "--layer", "a1", "--copy-weights", "--seed", "3", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["layer"] == "a1"


def test_a_disagreement_has_its_own_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(verification._TOLERANCES, "gradients", -1.0)
    ran = run(capsys, "verify", save(colour_model(), tmp_path / "m.onnx"))
    assert ran.code == 11
    assert "differs" in ran.out
    assert ran.err.startswith("onnxcam: error: m.onnx, layer 'a': gradient against that of the head alone: error ")
    assert ran.err.count("\n") == 1


def test_a_model_without_layers_is_checked_at_its_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.helpers.models import model

    proto = model("g (float[n, 1, 2, 2] x) => (float[n, 4] y) { a = Flatten(x) y = Tanh(a) }")
    ran = run(capsys, "verify", save(proto, tmp_path / "m.onnx"), "--json")
    assert ran.code == 0
    assert {check["at"] for check in json.loads(ran.out)["checks"]} == {"input 'x'"}


def test_engines_offered_are_those_there_are() -> None:
    from typing import get_args, get_type_hints

    assert get_args(get_type_hints(ExplainerOptions)["engine"]) == options.ENGINES
