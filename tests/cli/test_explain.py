from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxcam.cli.fields import build_method
from onnxcam.cli.photographs import batches
from onnxcam.errors import ImageError, InputError
from onnxcam.explainer import Explainer
from onnxcam.methods.registry import methods
from tests.helpers.commands import colour_model, draw, run, save

NOTE = "onnxcam: note: hires-cam at 'a' of the score 'pooled' on CPUExecutionProvider\n"


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: a model, two images and one file that is none."""
    monkeypatch.chdir(tmp_path)
    save(colour_model(), Path("m.onnx"))
    Path("photos").mkdir()
    draw(Path("photos/a.png"), "red")
    draw(Path("photos/b.png"), "blue", (16, 4))
    return tmp_path


def test_one_line_an_image(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "explain", "m.onnx", "photos")
    # Half of the pixels are red: the score is 4 / 2, and softmax(2, 0, 0) begins with 78.7%.
    assert ran.out == (
        "photos/a.png: red 78.7% -> onnxcam-out/a-hires-cam-red.png\n"
        "photos/b.png: blue 78.7% -> onnxcam-out/b-hires-cam-blue.png\n"
    )
    assert (ran.code, ran.err) == (0, NOTE)
    raw = np.load("onnxcam-out/a-hires-cam-red.npy")
    assert raw.shape == (8, 8)
    # Sum of the map is the score, and it lies where the red is.
    assert raw.sum() == pytest.approx(2, rel=1e-5)
    assert not raw[:, 4:].any()
    with Image.open("onnxcam-out/a-hires-cam-red.png") as picture:
        assert picture.size >= (8, 8)


def test_another_target_is_named(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("blue", "2"):
        ran = run(capsys, "explain", "m.onnx", "photos/a.png", "--target", target, "-q", "--out", "maps/deep")
        assert ran.out == "photos/a.png: red 78.7%, explained: blue 10.7% -> maps/deep/a-hires-cam-blue.png\n"
        assert ran.code == 0
        # Nothing in a red image counts for blue: that is a warning, also with --quiet.
        assert ran.err.startswith("onnxcam: warning: photos/a.png: ")
        assert ran.err.count("\n") == 1


def test_scores_where_no_probability_is_known(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(colour_model(metadata=False, ending="y = Identity (logits)"), Path("m.onnx"))
    ran = run(capsys, "explain", "m.onnx", "photos/a.png", "--preprocess", "unit", "-q")
    assert ran.out == "photos/a.png: class 0 score 2 -> onnxcam-out/a-hires-cam-0.png\n"


def test_assumed_preprocessing_is_noted_once(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(colour_model(metadata=False), Path("m.onnx"))
    ran = run(capsys, "explain", "m.onnx", "photos")
    assert ran.code == 0
    assert ran.err.count("onnxcam: note: preprocessing assumed imagenet") == 1
    assert "assumed" not in run(capsys, "explain", "m.onnx", "photos", "--preprocess", "unit").err
    assert "assumed" not in run(capsys, "explain", "m.onnx", "photos", "--quiet").err


def test_one_bad_image_among_others(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/aa.png").write_text("no image")
    ran = run(capsys, "explain", "m.onnx", "photos", "missing.jpg", "-q")
    assert [line.split(":")[0] for line in ran.out.splitlines()] == ["photos/a.png", "photos/b.png"]
    assert ran.code == ImageError.exit_code
    assert [line.split(": ")[:3] for line in ran.err.splitlines()] == [
        ["onnxcam", "error", "missing.jpg"],
        ["onnxcam", "error", "photos/aa.png"],
    ]


def test_one_json_document(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/c.png").write_text("no image")
    ran = run(capsys, "explain", "m.onnx", "photos", "--json", "-q")
    found = json.loads(ran.out)
    assert ran.code == ImageError.exit_code
    assert (found["model"], found["preprocessing"]["scale"]) == ("m.onnx", pytest.approx(1 / 255))
    first, second = found["records"]
    assert first["source"] == "photos/a.png"
    assert first["predictions"][0]["label"] == "red"
    assert Path(first["files"]["overlay"]).is_file()
    assert json.loads(Path(second["files"]["record"]).read_text())["target"]["label"] == "blue"
    (error,) = found["errors"]
    assert (error["image"], error["exit_code"]) == ("photos/c.png", 8)


def test_patterns_and_repetitions(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "explain", "m.onnx", "photos/*.png", "photos/a.png", "photos", "-q")
    assert len(ran.out.splitlines()) == 2


@pytest.mark.parametrize("name", list(methods()))
def test_every_method_runs(name: str, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = ["--set", "layers=-1"] if name == "refine-cam" else []
    ran = run(capsys, "explain", "m.onnx", "photos/a.png", "--method", name, *fields, "-q")
    if methods()[name]().needs.reads == "attentions":
        assert ran.code != 0
        assert "the network has no attention; use hires-cam" in ran.err
    else:
        assert (ran.code, ran.out.partition(" ->")[0]) == (0, "photos/a.png: red 78.7%")


def test_options_reach_the_explainer(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("names.txt").write_text("rot\ngruen\nblau\n")
    options = ["--labels", "names.txt", "--resize", "letterbox", "--preprocess", "unit", "--layer", "c", "--score", "y"]
    more = ["--method", "random-cam", "--set", "seed=7", "--provider", "cpu", "--batch", "1", "--threads", "1"]
    ran = run(capsys, "explain", "m.onnx", "photos/b.png", *options, *more, "--json")
    (record,) = json.loads(ran.out)["records"]
    assert record["method"] == {"name": "random-cam", "seed": 7}
    assert (record["layer"], record["score"]) == ("c", "y")
    assert record["predictions"][0]["label"] == "blau"
    assert record["provenance"]["preprocessing"]["resize"] == "letterbox"


def test_the_demo_runs_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run(capsys, "explain", "--demo", "--json", "-q")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert len(found["records"]) >= 2
    for record in found["records"]:
        # The samples are named by what they show.
        assert record["predictions"][0]["label"] in Path(record["source"]).stem
        assert Path(record["files"]["overlay"]).is_file()
        assert Path(record["files"]["overlay"]).parent == Path("onnxcam-out")
    assert "metadata" in found["preprocessing_source"]


@pytest.mark.skipif(os.name == "nt", reason="pseudo terminals of POSIX")
def test_on_a_terminal(workdir: Path) -> None:
    """Lines do not tear the progress bar, and the last one says where to look."""
    import pty

    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "onnxcam", "explain", "m.onnx", "photos", "--batch", "1"]
    subprocess.run(command, stdin=writer, stdout=writer, stderr=writer, check=True, timeout=60)
    os.close(writer)
    shown = b""
    while b"explanations in" not in shown:
        shown += os.read(reader, 65536)
    os.close(reader)
    lines = [line.rpartition("\r\033[2K")[2] for line in shown.decode().split("\r\n")]
    assert NOTE.rstrip() in lines
    assert "photos/a.png: red 78.7% -> onnxcam-out/a-hires-cam-red.png" in lines
    assert "photos/b.png: blue 78.7% -> onnxcam-out/b-hires-cam-blue.png" in lines
    assert "2 explanations in onnxcam-out/" in lines
    assert "1/2" in shown.decode()


def test_fields_take_the_type_that_is_declared() -> None:
    assert build_method("random-cam", ["seed=3"]).describe() == {"name": "random-cam", "seed": 3}
    assert build_method("gradient", ["reduce=sum"]).describe()["reduce"] == "sum"
    for wrong in ("seed=x", "seed=1.5", "sed=1"):
        with pytest.raises(InputError):
            build_method("random-cam", [wrong])


def test_batches_keep_order_and_size(workdir: Path) -> None:
    """Photographs are read a batch at a time, and never two sizes together."""
    files = [draw(workdir / f"{i}.png", "red", (64, 64 if i < 5 else 128)) for i in range(7)]
    read: list[str] = []

    class Counting(Explainer):
        def read(self, source: Any) -> Any:
            read.append(Path(str(source)).stem)
            return super().read(source)

    explainer = Counting(_open_model(), batch_size=2)
    sizes = []
    for batch in batches(explainer, files, lambda *_: None):
        sizes.append([Path(photograph.name).stem for photograph in batch])
        assert len(read) <= sum(map(len, sizes)) + 1
    assert sizes == [["0", "1"], ["2", "3"], ["4"], ["5", "6"]]


def _open_model() -> bytes:
    proto = colour_model()
    for axis in (2, 3):
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
    return bytes(proto.SerializeToString())
