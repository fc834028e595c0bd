from __future__ import annotations

import json

import pytest

from onnxcam.methods.papers import bibtex, citation
from onnxcam.methods.registry import methods, wrappers
from onnxcam.metrics.registry import metrics
from tests.helpers.commands import run

BOTH = {**methods(), **wrappers()}
CITED = {name: cls.paper for registry in (methods(), wrappers(), metrics()) for name, cls in registry.items()}


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


@pytest.mark.parametrize("name", list(CITED))
def test_every_method_and_metric_is_cited(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    key = CITED[name]
    assert run(capsys, "cite", name).out == bibtex(key) + "\n" == run(capsys, "cite", key).out
    assert run(capsys, "cite", name, "--plain").out == citation(key) + "\n"


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "cite", "hirescam")
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.startswith("onnxcam: error: no method, metric or paper is named 'hirescam'; did you mean hires-cam")
    assert ran.err.count("\n") == 1
