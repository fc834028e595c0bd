"""Run mutated files through commands and functions, and count what comes of them: ``python -m tools.fuzz``.

The exit code is 1 where there is a fault: anything but a result, or a refusal in one line.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

# Set before onnxruntime is imported: no run of this may leave a trace elsewhere.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from tools.fuzz.campaign import keep_faults, repeat, run_all, table
from tools.fuzz.jobs import JOBS
from tools.fuzz.outcome import GOOD
from tools.fuzz.server import Limits


@click.command(help=__doc__)
@click.option("--count", default=1000, show_default=True, help="How many files.")
@click.option("--seed", default=0, show_default=True, help="Other numbers make other files.")
@click.option("--job", "jobs", multiple=True, type=click.Choice(list(JOBS)), help="What is done. Default: all kinds.")
@click.option("--every", is_flag=True, help="Do all of it with each file; else the first and one of the others.")
@click.option("--workers", default=2, show_default=True, help="Processes.")
@click.option("--seconds", default=30.0, show_default=True, help="Limit of each job.")
@click.option("--megabytes", default=2048.0, show_default=True, help="Limit of each job.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for one file of each fault, and a list of all.")
@click.option("--again", help="Run one file only, BASE:SEED, and print what comes of it.")
def main(
    count: int,
    seed: int,
    jobs: tuple[str, ...],
    every: bool,
    workers: int,
    seconds: float,
    megabytes: float,
    keep: Path | None,
    again: str | None,
) -> None:
    """Run it."""
    limits, names = Limits(seconds, megabytes), jobs or tuple(JOBS)
    if again is not None:
        repeat(again, names, limits)
        return
    found = list(run_all(count, seed, names, workers, limits, every))
    click.echo(table(found, names))
    faults = [row for row in found if row["kind"] not in GOOD]
    if keep is not None:
        keep_faults(keep, faults)
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
