"""``onnxcam docs``, and the pages that it shows."""

from __future__ import annotations

import re
import sys

import click
import pytest

from onnxcam import docs
from onnxcam.errors import NameNotFoundError
from tests.helpers.commands import check, run
from tools.docs import MANUAL


def test_topics_are_listed_with_their_summaries(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "docs")
    assert (ran.code, ran.err) == (0, "")
    for page in docs.pages().values():
        assert re.search(rf"^  {page.name} +{re.escape(page.summary)}$", ran.out, re.MULTILINE)
    assert [line.removesuffix(":") for line in ran.out.splitlines() if line.endswith(":")] == list(docs.PARTS.values())


def test_a_page_is_printed_as_it_is_where_nobody_pages(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "docs", "methods")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("# Methods and wrappers\n\n")
    assert "<!--" not in ran.out
    assert "| `grad-cam` |" in ran.out


def test_a_terminal_gets_a_pager(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    paged: list[str] = []
    monkeypatch.setattr(click, "echo_via_pager", paged.append)
    assert run(capsys, "docs", "targets").out == ""
    assert paged == [docs.page("targets").text]


def test_near_topics_are_suggested(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "docs", "choosing-method")
    check(ran, NameNotFoundError, "choosing-a-method", "onnxcam docs lists all topics")


def test_every_file_of_the_folder_is_a_page() -> None:
    assert sorted(docs.pages()) == sorted(path.stem for path in MANUAL.glob("*.md"))
    for page in docs.pages().values():
        assert page.summary.endswith("."), page.name
        assert len(page.summary) <= 100, page.name


def test_the_manual_needs_nothing_heavy() -> None:
    import subprocess

    code = "import sys; from onnxcam.cli import main; main(['docs', 'targets']); print([m for m in ('numpy', 'onnx', 'PIL') if m in sys.modules], file=sys.stderr)"  # noqa: E501
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"
