"""Fixtures that several tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.commands import colour_model, draw, save


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, below one that is not to be reached: a good model ``m.onnx`` and a good image ``a.png``."""
    folder = tmp_path / "inside"
    folder.mkdir()
    monkeypatch.chdir(folder)
    save(colour_model(), Path("m.onnx"))
    draw(Path("a.png"))
    return folder
