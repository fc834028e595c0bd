"""Tables of what ``python -m tools.bench --write`` measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).parent.parent / "benchmarks" / "measured.json"

# The benchmark and the beginning of the line that the README shows, and what it calls it.
_RATIOS = (
    ("maps", "ResNet-50, last layer, batch 1: hires-cam over", "HiResCAM's time over a forward pass"),
    ("maps", "ResNet-50, last layer, batch 1: hires-cam, pytorch", "pytorch-grad-cam's time over onnxcam's, HiResCAM"),
    (
        "perturbation",
        "Score-CAM: pytorch-grad-cam's time over ours",
        "pytorch-grad-cam's time over onnxcam's, Score-CAM",
    ),
)


def measured() -> dict[str, dict[str, Any]]:
    """Return what each benchmark measured last: machine, date, and its lines."""
    found: dict[str, dict[str, Any]] = json.loads(MEASURED.read_text())
    return found


def benchmark_tables() -> str:
    """Return a table for every benchmark, with the command that measured it, the machine and the date."""
    parts = []
    for name, found in sorted(measured().items()):
        rows = ["| what | figure | bound | detail |", "|---|---|---|---|"]
        rows += [f"| {row['what']} | {_figure(row)} | {row['wanted']} | {row['detail']} |" for row in found["rows"]]
        where = f"`python -m tools.bench {name}`, {found['date']}, {found['machine']}"
        parts.append("\n".join([f"### {name}", "", f"{found['about']}", "", where, "", *rows]))
    return "\n\n".join(parts)


def ratios() -> str:
    """Return the three lines of the README."""
    rows = ["| what, ResNet-50, one image | figure | measured by |", "|---|---|---|"]
    for name, begins, said in _RATIOS:
        found = measured()[name]
        row = next(row for row in found["rows"] if row["what"].startswith(begins))
        rows.append(f"| {said} | {row['figure']} | `python -m tools.bench {name}`, {found['date']} |")
    return "\n".join(rows)


def _figure(row: dict[str, Any]) -> str:
    return row["figure"] if row["holds"] else f"{row['figure']} (does not hold)"
