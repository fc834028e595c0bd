from __future__ import annotations

from pathlib import Path

import pytest

from tools.docs import README, TABLES, fill, quick_start


@pytest.mark.parametrize("path", list(TABLES), ids=lambda path: path.parent.name)
def test_tables_are_up_to_date(path: Path) -> None:
    text = path.read_text()
    assert fill(text, path) == text


def test_the_quick_start_has_exactly_two_blocks() -> None:
    first, second = quick_start(README.read_text())
    assert "onnxcam explain --demo" in first
    assert "pytest" in second
