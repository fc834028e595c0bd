from __future__ import annotations

import json

import pytest

from onnxcam.methods.registry import methods, wrappers
from tests.helpers.commands import run

BOTH = {**methods(), **wrappers()}


def test_every_method_and_wrapper_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "methods")
    assert (ran.code, ran.err) == (0, "")
    head, *rows = ran.out.splitlines()
    assert head.split()[:2] == ["METHOD", "NEEDS"]
    assert [row.split()[0] for row in rows] == list(BOTH)
    for row, cls in zip(rows, BOTH.values(), strict=True):
        assert cls.summary() in row
        assert row.endswith(cls.paper)


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, "methods", "--json").out)
    assert [entry["name"] for entry in found] == list(BOTH)
    assert [entry["name"] for entry in found if entry["kind"] == "wrapper"] == list(wrappers())
    gradient = next(entry for entry in found if entry["name"] == "gradient")
    assert gradient["needs"] == "input gradient"
    assert gradient["fields"] == [{"name": "reduce", "type": "Literal['max-abs', 'sum']", "default": "max-abs"}]


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("full-grad", "bias gradient"),
        ("rollout", "attention values"),
        ("le-grad", "attention gradient"),
        ("shapley-cam", "layer gradient"),
        ("fem", "layer values"),
        ("smooth-grad", "input gradient"),
        ("cam", "layer gradient, GAP head"),
        ("refine-cam", "what its base needs"),
        ("noise", "wraps a method"),
    ],
)
def test_what_a_method_needs(name: str, needs: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = {entry["name"]: entry for entry in json.loads(run(capsys, "methods", "--json").out)}
    assert found[name]["needs"] == needs


def test_fields_of_a_wrapper_are_those_that_can_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    found = {entry["name"]: entry for entry in json.loads(run(capsys, "methods", "--json").out)}
    assert [field["name"] for field in found["noise"]["fields"]] == ["n", "sigma", "seed"]
