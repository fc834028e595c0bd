from __future__ import annotations

import json

import pytest

from onnxcam.methods.papers import bibtex, citation
from onnxcam.methods.registry import methods
from tests.commands import run


def test_every_method_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "methods")
    assert (ran.code, ran.err) == (0, "")
    head, *rows = ran.out.splitlines()
    assert head.split()[:2] == ["METHOD", "NEEDS"]
    assert [row.split()[0] for row in rows] == list(methods())
    for row, cls in zip(rows, methods().values(), strict=True):
        assert cls.summary() in row
        assert row.endswith(cls.paper)


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, "methods", "--json").out)
    assert [entry["name"] for entry in found] == list(methods())
    gradient = next(entry for entry in found if entry["name"] == "gradient")
    assert gradient["needs"] == "input gradient"
    assert gradient["fields"] == [{"name": "reduce", "type": "Literal['max-abs', 'sum']", "default": "max-abs"}]


@pytest.mark.parametrize("name", list(methods()))
def test_every_method_is_cited(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    key = methods()[name].paper
    assert run(capsys, "cite", name).out == bibtex(key) + "\n" == run(capsys, "cite", key).out
    assert run(capsys, "cite", name, "--plain").out == citation(key) + "\n"


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "cite", "hirescam")
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.startswith("onnxcam: error: no method or paper is named 'hirescam'; did you mean hires-cam")
    assert ran.err.count("\n") == 1
