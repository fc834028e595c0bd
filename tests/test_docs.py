from __future__ import annotations

from tools.docs import README, fill, quick_start


def test_tables_are_up_to_date() -> None:
    text = README.read_text()
    assert fill(text) == text


def test_the_quick_start_has_exactly_two_blocks() -> None:
    first, second = quick_start(README.read_text())
    assert "onnxcam explain --demo" in first
    assert "pytest" in second
