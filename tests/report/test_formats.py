"""Formats of output: those that there are, and one that a file adds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

import onnxcam.report.formats as package
from onnxcam.cli.commands.explain import command
from onnxcam.errors import InputError, NameNotFoundError
from onnxcam.explanation import Explanation, Images, Recipe
from onnxcam.report.registry import formats
from tests.helpers.commands import colour_model, draw, run, save

NEW = '''
"""The raw map as text."""
import numpy as np
from onnxcam.report.format import Format

format = Format("new", ".new", "Raw map.", lambda report, file: np.savetxt(file, report.raw, delimiter=","))
'''


def explanation(layer: str = "a") -> Explanation:
    """Return the explanation of one image, with a film."""
    rng = np.random.default_rng(3)
    return Explanation(
        maps=rng.random((1, 6, 6), dtype=np.float32),
        raw=rng.standard_normal((1, 2, 3)).astype(np.float32),
        scores=np.array([[0, 2]], np.float32),
        targets=np.array([1]),
        warnings=((),),
        recipe=Recipe(layer, {"name": "hires-cam"}, "y", "CPUExecutionProvider"),
        images=Images(
            names=("cat.jpg",),
            photos=(Image.new("RGB", (6, 6), "gray"),),
            films=(Image.new("RGB", (40, 9), "navy"),),
        ),
    )


def _without_film() -> Explanation:
    one = explanation()
    return replace(one, images=replace(one.images, films=()))


def _is_overlay(path: Path, one: Explanation) -> bool:
    with Image.open(path) as picture:
        return picture.tobytes() == one.overlay().tobytes()


def _is_raw(path: Path, one: Explanation) -> bool:
    return np.array_equal(np.load(path), one.raw[0])


def _is_record(path: Path, one: Explanation) -> bool:
    record = json.loads(path.read_text(encoding="utf-8"))
    return bool({key: record[key] for key in one.record()} == one.record())


def _is_film(path: Path, one: Explanation) -> bool:
    with Image.open(path) as picture:
        return picture.tobytes() == one.films[0].tobytes()


# For every format: how to see that a file holds what the explanation says.
SAMPLES: dict[str, Callable[[Path, Explanation], bool]] = {
    "film": _is_film,
    "overlay": _is_overlay,
    "raw": _is_raw,
    "record": _is_record,
}


def test_every_format_has_a_sample() -> None:
    assert set(SAMPLES) == set(formats()), "add an entry to SAMPLES in tests/report/test_formats.py"


@pytest.mark.parametrize("name", list(SAMPLES))
def test_a_format_writes_what_the_explanation_says(name: str, tmp_path: Path) -> None:
    one, other = explanation(), replace(explanation("b"), maps=np.zeros((1, 6, 6), np.float32))
    other = replace(other, raw=-other.raw, images=replace(other.images, films=(Image.new("RGB", (40, 9)),)))
    (saved,) = one.save(tmp_path, formats=name)
    assert set(saved.paths) == {name, "record"}
    path = saved.paths[name]
    assert path.name == f"cat-hires-cam-1{formats()[name].suffix}"
    assert SAMPLES[name](path, one)
    assert not SAMPLES[name](path, other)
    assert formats()[name].summary.endswith((".", "--film."))


def test_the_record_is_written_in_any_case_and_lists_the_others(tmp_path: Path) -> None:
    (saved,) = explanation().save(tmp_path, "x", formats=["record", "raw", "raw"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.json", "x.npy"]
    assert json.loads(saved.record.read_text())["files"] == {"raw": "x.npy"}
    assert (saved.overlay, saved.film, saved.main) == (None, None, saved.raw)
    with pytest.raises(AttributeError, match=", ".join(formats())):
        _ = saved.picture


def test_formats_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(NameNotFoundError, match=r"'overlaid'; did you mean overlay"):
        explanation().save(tmp_path / "new", formats=["overlaid"])
    with pytest.raises(InputError, match="format film needs a film; draw one with --film"):
        _without_film().save(tmp_path / "new", formats=["film"])
    assert list(tmp_path.rglob("*.*")) == []
    assert _without_film().save(tmp_path)[0].film is None


def test_formats_asked_for_one_after_the_other_belong_together(tmp_path: Path) -> None:
    one = explanation()
    for name in ("raw", "overlay", "film"):
        (saved,) = one.save(tmp_path, formats=[name])
    assert set(json.loads(saved.record.read_text())["files"]) == {"raw", "overlay", "film"}
    assert len(list(tmp_path.iterdir())) == 4
    # The same explanation replaces them; another one that is given the name leaves nothing of them.
    assert one.save(tmp_path)[0].record == saved.record
    (other,) = explanation("b").save(tmp_path, saved.record.stem, formats=["raw"])
    assert sorted(tmp_path.iterdir()) == sorted([other.raw, other.record])


def test_a_file_of_somebody_else_stays(tmp_path: Path) -> None:
    """Also where the record is onnxcam's, but does not list it."""
    one = explanation()
    one.save(tmp_path, "x", formats=["raw"])
    (tmp_path / "x.png").write_bytes(b"precious")
    assert one.save(tmp_path, "x")[0].overlay.name == "x-2.png"
    assert (tmp_path / "x.png").read_bytes() == b"precious"


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Return what adds a module to the folder of formats, as a new file would."""
    folder, before = tmp_path / "formats", set(sys.modules)
    folder.mkdir()
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])

    def add(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text)
        formats.cache_clear()

    yield add
    for name in set(sys.modules) - before:
        if name.startswith(f"{package.__name__}."):
            del sys.modules[name]
            vars(package).pop(name.rpartition(".")[2], None)
    formats.cache_clear()


def test_a_new_format_is_one_file(
    declare: Callable[[str, str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declare("some_file", NEW)
    one = explanation()
    (saved,) = one.save(tmp_path / "out", formats=["new"])
    np.testing.assert_allclose(np.loadtxt(saved.new, delimiter=","), one.raw[0])
    assert one.save(tmp_path / "out2")[0].new is None  # only where it is asked for

    model, photo = save(colour_model(), tmp_path / "m.onnx"), draw(tmp_path / "a.png")
    ran = run(capsys, "explain", model, photo, "-o", tmp_path / "maps", "--format", "new", "--json", "-q")
    assert (ran.code, ran.err) == (0, "")
    (record,) = json.loads(ran.out)["records"]
    assert set(record["files"]) == {"new", "record"}
    assert json.loads(Path(record["files"]["record"]).read_text())["files"] == {"new": "a-hires-cam-red.new"}
    assert np.loadtxt(record["files"]["new"], delimiter=",").shape == (8, 8)
    ran = run(capsys, "explain", model, photo, "-o", tmp_path / "maps", "--format", "new", "-q")
    assert ran.out.endswith(f" -> {tmp_path / 'maps' / 'a-hires-cam-red.new'}\n")


@pytest.mark.parametrize(
    ("name", "suffix", "message"),
    [
        ("raw", ".bin", "two formats are named raw"),
        ("bin", ".NPY", "formats raw and bin both end in .NPY"),
        ("bin", "/../x", "must be such as .csv"),
        ("bin", "bin", "must be such as .csv"),
    ],
)
def test_formats_that_collide_are_refused(
    name: str, suffix: str, message: str, declare: Callable[[str, str], None]
) -> None:
    declare("zz_new", NEW.replace('"new"', f'"{name}"').replace('".new"', f'"{suffix}"'))
    with pytest.raises(RuntimeError, match=message):
        formats()


def test_the_command_line_checks_formats_first(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "explain", "missing.onnx", "missing.png", "--format", "?")
    assert (ran.code, ran.out) == (5, "")
    assert ran.err == f"onnxcam: error: no format is named '?' (the formats are {', '.join(formats())})\n"


def test_the_help_lists_the_formats() -> None:
    (option,) = (one for one in command.params if one.name == "formats")
    assert isinstance(option, click.Option)
    assert f"for each image: {', '.join(formats())};" in str(option.help)


@pytest.mark.parametrize("options", [["--film", "--format", "raw"], ["--format", "film", "--format", "raw"]])
def test_a_film_can_be_asked_for_by_its_format(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, photo = save(colour_model(), tmp_path / "m.onnx"), draw(tmp_path / "a.png")
    ran = run(capsys, "explain", model, photo, "-o", tmp_path / "maps", *options, "-q")
    assert (ran.code, ran.err) == (0, "")
    assert sorted(path.suffix for path in (tmp_path / "maps").iterdir()) == [".json", ".npy", ".png"]
    assert ran.out.endswith("a-hires-cam-red-film.png\n")
