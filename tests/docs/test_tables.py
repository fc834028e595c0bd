"""Generated parts of README and manual are what the registries say."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tools.docs import README, page, shell_blocks
from tools.docs import __main__ as docs


@pytest.mark.parametrize("path", list(docs.TABLES), ids=lambda path: path.stem)
def test_tables_are_up_to_date(path: Path) -> None:
    text = path.read_text()
    assert docs.fill(text, path) == text, "run python -m tools.docs"


def test_docs_that_are_out_of_date_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CliRunner().invoke(docs.main, ["--check"]).exit_code == 0
    monkeypatch.setitem(docs.TABLES, page("operators"), {"operators": lambda: "another table"})
    result = CliRunner().invoke(docs.main, ["--check"])
    assert result.exit_code == 1
    assert "onnxcam/docs/operators.md is not up to date" in result.output


def test_the_quick_start_has_exactly_two_blocks_of_one_line() -> None:
    first, second = shell_blocks(README.read_text())
    assert first.count("\n") == second.count("\n") == 1
    assert "onnxcam explain --demo" in first
    assert "pytest -n 2" in second


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= 8000
