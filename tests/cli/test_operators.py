from __future__ import annotations

import json

import pytest

from onnxcam.autodiff.catalogue import operators
from onnxcam.autodiff.registry import gradient_table, refusals, zero_gradients
from onnxcam.graph.passes.expansions.registry import expansions
from tests.autodiff.samples import SAMPLES
from tests.helpers.commands import run
from tests.helpers.fused_cases import CASES


def test_every_operator_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "operators")
    assert (ran.code, ran.err) == (0, "")
    head, *lines = ran.out.splitlines()
    assert head.split()[:3] == ["OPERATOR", "OPSET", "GRADIENT"]
    assert [line.split()[0] for line in lines] == [f"{r.domain}:{r.name}".lstrip(":") for r in operators()]


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = {(row["domain"], row["name"]): row for row in json.loads(run(capsys, "operators", "--json").out)}
    assert found.keys() >= {*gradient_table(), *zero_gradients(), *refusals()}
    assert found["", "Relu"]["how"] == "rule"
    assert found["", "Greater"]["note"] == "its result is true or false"
    assert found["", "DFT"]["how"] == "refused"
    assert {name for (_, name), row in found.items() if row["how"] == "expansion"} == expansions().keys()


def test_what_is_said_to_be_checked_is() -> None:
    sampled = {(s.rule.domain, s.rule.op_type) for s in SAMPLES}
    said = {(row.domain, row.name) for row in operators() if row.checked.startswith("central differences")}
    assert said == sampled
    fused = {row.name for row in operators() if row.checked.startswith("the fused kernel")}
    assert fused == {case.op for case in CASES}
