"""Benchmarks: every figure a ratio or a time measured here and now.

    python -m tools.bench                 all of them, as a Markdown table
    python -m tools.bench maps startup    some of them
    python -m tools.bench --provider cuda on the GPU

The machine should do nothing else. Times of one line are measured in turn, round after round, in one process.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import click

import tools.benchmarks

_HELPERS = {"networks", "peak", "peers", "result", "timing"}
_FILES = Path(__file__).parent.parent / "build" / "bench"


def names() -> list[str]:
    """Return the benchmarks that there are: the modules of ``tools.benchmarks`` that run something."""
    return [m.name for m in pkgutil.iter_modules(tools.benchmarks.__path__) if m.name not in _HELPERS]


@click.command(help=__doc__)
@click.argument("chosen", nargs=-1)
@click.option("--provider", default="cpu", show_default=True, help="execution provider of onnxruntime")
@click.option("--files", type=click.Path(path_type=Path), default=_FILES, help="where exported networks are kept")
def main(chosen: tuple[str, ...], provider: str, files: Path) -> None:
    """Run the chosen benchmarks and fail if a bound does not hold."""
    if unknown := set(chosen) - set(names()):
        raise click.UsageError(f"no benchmark is named {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    click.echo("| what | figure | wanted | holds | detail |\n|---|---|---|---|---|")
    failed = 0
    for name in chosen or names():
        for result in importlib.import_module(f"tools.benchmarks.{name}").run(files, provider):
            click.echo(result.row())
            failed += not result.holds
    if failed:
        raise SystemExit(f"{failed} bound(s) do not hold")


if __name__ == "__main__":
    main()
