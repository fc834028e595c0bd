"""How far a method of many runs is, as a terminal shows it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_DRAWN = re.compile("\\x1b\\[[0-9?]*[a-zA-Z]")


@pytest.mark.skipif(importlib.util.find_spec("pty") is None, reason="pseudo terminals of POSIX")
def test_steps_are_counted_and_lines_stay_whole(tmp_path: Path) -> None:
    """On stderr, which is the terminal; stdout is a file here, and gets nothing but its lines."""
    import pty

    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "onnxcam", "explain", "--demo", "-m", "rise", "--set", "count=64"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=writer, text=True, cwd=tmp_path) as running:
        os.close(writer)
        shown = _read_all(reader)
        out, _ = running.communicate(timeout=60)
    assert running.returncode == 0, shown
    seen = [(int(step), int(of)) for step, of in re.findall(r"step (\d+) of (\d+)", shown)]
    (total,) = {of for _, of in seen}
    assert total > 1
    assert list(dict.fromkeys(seen)) == [(step, total) for step in range(1, total + 1)]
    lines = [_DRAWN.sub("", line.rpartition("\r")[2]) for line in shown.replace("\r\n", "\n").split("\n")]
    assert "onnxcam: note: rise at 'image' of the score 'logits' on CPUExecutionProvider" in lines
    assert [Path(line.partition(": ")[0]).name for line in out.splitlines()] == ["10_cross.png", "3_star.png"]
    assert "step" not in out
    assert "\x1b" not in out
    assert all(Path(tmp_path, line.partition(" -> ")[2]).is_file() for line in out.splitlines())


def _read_all(reader: int) -> str:
    """Return what a terminal shows until the last writer has closed it."""
    shown = b""
    while True:
        try:
            read = os.read(reader, 65536)
        except OSError:  # Linux says so when the last writer has gone
            read = b""
        if not read:
            os.close(reader)
            return shown.decode()
        shown += read
