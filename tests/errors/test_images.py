"""Images that cannot be read or that a model does not take: one line that says what and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxcam.errors import (
    ImageError,
    UnsupportedError,
)
from tests.helpers.commands import check, draw, explain, run, save
from tests.helpers.models import floats, model


@pytest.mark.parametrize("content", [b"", b"no image\n", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "signature"])
def test_a_file_that_is_no_image(content: bytes, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.png").write_bytes(content)
    check(explain(capsys), ImageError, "a.png")


def test_a_truncated_image(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "a.jpg", "a.bmp"):
        whole = draw(Path(name), size=(64, 64)).read_bytes()
        Path(name).write_bytes(whole[: len(whole) * 2 // 3])
        check(explain(capsys, image=name), ImageError, name)


def test_bad_images_among_good_ones(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one batch one file is cut, one is text, one is missing: the others are explained."""
    for name in ("b.png", "c.png", "d.png"):
        draw(Path(name), "blue")
    Path("b.png").write_bytes(Path("b.png").read_bytes()[:50])
    Path("c.png").write_text("text")
    ran = run(capsys, "explain", "m.onnx", "a.png", "b.png", "c.png", "gone.png", "d.png", "--quiet")
    assert [line.split(" ->")[0] for line in ran.out.splitlines()] == ["a.png: red 78.7%", "d.png: blue 78.7%"]
    assert sorted(line.split(":")[2].strip() for line in ran.err.splitlines()) == ["b.png", "c.png", "gone.png"]
    assert ran.code == ImageError.exit_code


def test_an_image_too_small_for_an_open_model(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """g (float[n, 3, h, w] x) => (float[n, 4] y) {
        c = Conv (x, k) p = GlobalAveragePool (c) y = Flatten (p)
    }"""
    save(model(text, {"k": floats(4, 3, 40, 40)}), Path("m.onnx"))
    draw(Path("b.png"), size=(96, 96))
    ran = run(capsys, "explain", "m.onnx", "a.png", "b.png", "-p", "unit", "-q")
    assert ran.code in {0, ImageError.exit_code}
    assert "b.png: class" in ran.out
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("images", [["nothing/"], ["*.jpg"], ["gone.png"]])
def test_nothing_to_explain(images: list[str], workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("nothing").mkdir()
    check(run(capsys, "explain", "m.onnx", *images), ImageError, images[0].rstrip("/"))


def test_no_images_given(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "explain", "m.onnx")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "onnxcam: error: give at least one image: a file, a folder or a pattern (onnxcam explain --help)\n"
    )


def test_a_model_of_four_channels(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "g (float[n, 4, 8, 8] x) => (float[n, 3] y) { c = Conv (x, w) p = GlobalAveragePool (c) y = Flatten (p) }"
    save(model(text, {"w": floats(3, 4, 3, 3)}), Path("m.onnx"))
    check(explain(capsys), ImageError, "4 channels", "a photograph has 1 or 3")


def test_a_model_that_takes_no_photograph(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "g (float[n, 3, 8] x) => (float[n, 3] y) { c = Conv (x, w) p = GlobalAveragePool (c) y = Flatten (p) }"
    save(model(text, {"w": floats(3, 3, 3)}), Path("m.onnx"))
    check(explain(capsys), UnsupportedError, "takes no photograph")
