"""The manual's table of verified files."""

from __future__ import annotations

from typing import Any

import click
import pytest

from tests.helpers.shared import REAL_MODELS
from tools.docs import page, placed, put
from tools.verified import row, verdicts


def _check(error: float | None, verdict: str = "agrees", note: str = "") -> dict[str, Any]:
    return {"error": error, "tolerance": None if verdict == "skipped" else 1e-2, "verdict": verdict, "note": note}


def test_the_table_has_every_file() -> None:
    found = verdicts(placed(page("verified-files").read_text(), "verified"))
    assert sorted(found) == sorted(REAL_MODELS)
    assert all(verdict.startswith("agrees") for verdict in found.values())


def test_a_row_shows_the_worst() -> None:
    found = {"agrees": True, "checks": [_check(1e-6), _check(4e-3)]}
    assert row("m", found) == "| m | 2 | 4e-03 | 40% | agrees |"
    skipped = _check(
        None, "skipped", "the score is piecewise constant (ConvInteger, Add), so finite differences do not apply"
    )
    shown = row("m", {"agrees": True, "checks": [_check(0.0), skipped]})
    assert (
        shown
        == "| m | 1 | 0e+00 | 0% | agrees; finite differences skipped at 1 values: the score is piecewise constant |"
    )


def test_a_failure_shows_also_where_it_is_infinite() -> None:
    assert row("m", {"agrees": False, "checks": [_check(1e-6), _check(None, "differs")]}).endswith(
        "| inf | inf% | differs |"
    )


def test_a_readme_without_markers_for_a_table_is_reported() -> None:
    with pytest.raises(click.ClickException, match="no markers"):
        put("# Title", "verified", "| a |")
