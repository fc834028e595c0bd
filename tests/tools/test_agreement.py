"""The differences that the manual shows: every comparison has one, and they stand with their method."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from onnxcam.methods.registry import methods, wrappers
from tests.oracles.agreement import Code, Comparison, comparisons
from tools.agreement import Measured, Row, measured
from tools.agreement.__main__ import main, missing, row
from tools.docs import page
from tools.docs.agreement import held_against


def test_every_comparison_is_measured() -> None:
    assert CliRunner().invoke(main, ["--check"]).exit_code == 0


def test_a_comparison_that_is_missing_or_no_longer_there_is_named() -> None:
    kept = measured()
    assert missing(kept) == []
    fewer: Measured = {**kept, "rows": kept["rows"][1:], "alone": {}}
    first, last = missing(fewer)
    assert first.startswith("not measured: ablation-cam")
    assert last == "reasons for no comparison are others"
    other: Row = {**kept["rows"][0], "about": "another"}
    assert missing({**kept, "rows": [*kept["rows"], other]}) == ["no longer there: ablation-cam grad-cam  another"]


def test_versions_of_libraries_may_be_others_than_those_measured() -> None:
    kept = measured()
    rows: list[Row] = [{**one, "revision": "0"} if one["whose"] == "library" else one for one in kept["rows"]]
    assert missing({**kept, "rows": rows}) == []


def test_a_row_has_one_digit_of_the_difference() -> None:
    one = Comparison("cam", Code("owner/name", "0123abc", "authors"), "all", 1e-4, lambda: ([[0.0]], [[0.0]]))
    assert row(one, 1.26e-7)["difference"] == 1e-7
    assert one.difference() == 0


@pytest.mark.parametrize("name", [*methods(), *wrappers()])
def test_the_page_shows_what_a_method_was_held_against(name: str) -> None:
    section = page("methods").read_text().partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    assert held_against(name) in section
    assert "| its formula in loops | with every field varied | " in section
    for one in (one for one in comparisons() if one.method == name):
        assert f"| {one.about} |" in section
