"""What every test has: one thread for torch and NumPy's linear algebra, and fixtures that several folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Set before either is imported. Networks in tests are too small to gain from threads, and pytest's own processes fill
# the cores: threads that wait for each other there cost minutes. onnxruntime has a pool of its own, which this leaves.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, below one that is not to be reached: a good model ``m.onnx`` and a good image ``a.png``."""
    from tests.helpers.commands import colour_model, draw, save

    folder = tmp_path / "inside"
    folder.mkdir()
    monkeypatch.chdir(folder)
    save(colour_model(), Path("m.onnx"))
    draw(Path("a.png"))
    return folder
