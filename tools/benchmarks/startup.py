"""What it costs to import the package and to ask the command line for help."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tools.benchmarks.result import Result, at_most


def run(folder: Path, provider: str) -> Iterator[Result]:
    """Time new processes, the start of Python included."""
    empty = _seconds(["-c", "pass"])
    for name, arguments in (
        ("import onnxcam", ["-c", "import onnxcam"]),
        ("onnxcam --help", ["-m", "onnxcam", "--help"]),
    ):
        yield at_most(name, _seconds(arguments), 0.3, "s", f"Python alone {empty:.3f} s")


def _seconds(arguments: list[str]) -> float:
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)
