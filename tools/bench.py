"""Benchmarks: every figure a ratio or a time measured here and now.

    python -m tools.bench                 all of them, as a Markdown table
    python -m tools.bench maps startup    some of them
    python -m tools.bench maps --write    and keep the figures for the manual (then run python -m tools.docs)
    python -m tools.bench --provider cuda on the GPU

The machine should do nothing else. Times of one line are measured in turn, round after round, in one process.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import pkgutil
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

import tools.benchmarks
from tools.benchmarks.result import Result
from tools.docs.benchmarks import MEASURED, measured

_HELPERS = {"networks", "peak", "peers", "result", "timing"}
_FILES = Path(__file__).parent.parent / "build" / "bench"
_PEERS = ("onnxruntime-gpu", "torch", "grad-cam", "zennit")


def names() -> list[str]:
    """Return the benchmarks that there are: the modules of ``tools.benchmarks`` that run something."""
    return [m.name for m in pkgutil.iter_modules(tools.benchmarks.__path__) if m.name not in _HELPERS]


@click.command(help=__doc__)
@click.argument("chosen", nargs=-1)
@click.option("--provider", default="cpu", show_default=True, help="execution provider of onnxruntime")
@click.option("--files", type=click.Path(path_type=Path), default=_FILES, help="where exported networks are kept")
@click.option("--write", is_flag=True, help="keep the figures, with machine and date, for the manual")
def main(chosen: tuple[str, ...], provider: str, files: Path, write: bool) -> None:
    """Run the chosen benchmarks and fail if a bound does not hold."""
    if unknown := set(chosen) - set(names()):
        raise click.UsageError(f"no benchmark is named {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    click.echo("| what | figure | wanted | holds | detail |\n|---|---|---|---|---|")
    failed = 0
    for name in chosen or names():
        module = importlib.import_module(f"tools.benchmarks.{name}")
        results = []
        for result in module.run(files, provider):
            click.echo(result.row())
            results.append(result)
        failed += sum(not result.holds for result in results)
        if write:
            keep(name, (module.__doc__ or "").strip().splitlines()[0], results, provider)
    if failed:
        raise SystemExit(f"{failed} bound(s) do not hold")


def keep(name: str, about: str, results: list[Result], provider: str) -> None:
    """Write what a benchmark measured into the file that the manual's tables are made of."""
    found: dict[str, Any] = {
        "about": about,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(provider),
        "rows": [result.to_dict() for result in results],
    }
    MEASURED.write_text(json.dumps({**measured(), name: found}, indent=1, sort_keys=True) + "\n")


def machine(provider: str) -> str:
    """Return processor, cores, provider and the versions that matter, in one line."""
    info = Path("/proc/cpuinfo")
    models = [line.partition(": ")[2] for line in info.read_text().splitlines() if line.startswith("model name")]
    processor = models[0] if models else platform.machine()
    versions = ", ".join(f"{name} {version(name)}" for name in _PEERS)
    return f"{processor}, {os.cpu_count()} cores, provider {provider}, {versions}"


if __name__ == "__main__":
    main()
