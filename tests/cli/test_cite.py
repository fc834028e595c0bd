from __future__ import annotations

import pytest

from onnxcam.methods.papers import bibtex, citation
from onnxcam.methods.registry import methods, wrappers
from onnxcam.metrics.registry import metrics
from tests.helpers.commands import run

CITED = {name: cls.paper for registry in (methods(), wrappers(), metrics()) for name, cls in registry.items()}


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
