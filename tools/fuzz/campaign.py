"""Many files, in several processes: what came of each, as rows and as a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import click

from tools.fuzz.bases import bases
from tools.fuzz.mutants import Mutant, mutant, mutants
from tools.fuzz.outcome import GOOD, KINDS
from tools.fuzz.server import Limits, run_job, workplace

Row: TypeAlias = dict[str, Any]
_PARTS = 50


def jobs_of(file: Mutant, names: tuple[str, ...], every: bool) -> tuple[str, ...]:
    """Return what is done with a file: everything, or the first job and another one that depends on its seed."""
    if every or len(names) < 3:
        return names
    return names[0], names[1 + file.seed % (len(names) - 1)]


def run_all(
    count: int, seed: int, names: tuple[str, ...], workers: int, limits: Limits, every: bool = False
) -> Iterator[Row]:
    """Yield a row for each file and each of its jobs.

    Args:
        count: how many files.
        seed: of the files.
        names: of jobs.
        workers: processes.
        limits: of each job.
        every: do all jobs with each file, not two of them.
    """
    with (
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
        click.progressbar(length=count, label="files") as bar,
    ):
        tasks = [pool.submit(_part, count, seed, (part, _PARTS), names, limits, every) for part in range(_PARTS)]
        for task in as_completed(tasks):
            rows = task.result()
            bar.update(len({row["file"] for row in rows}))
            yield from rows


def _part(
    count: int, seed: int, part: tuple[int, int], names: tuple[str, ...], limits: Limits, every: bool
) -> list[Row]:
    rows = []
    with workplace() as folder:
        for one in mutants(bases(), seed, count, part):
            for name in jobs_of(one, names, every):
                outcome = run_job(name, one.content, folder, limits)
                rows.append({"file": f"{one.base}:{one.seed}", "way": one.way, "job": name} | outcome.to_dict())
    return rows


def repeat(file: str, names: tuple[str, ...], limits: Limits) -> None:
    """Run the jobs on one file, named ``BASE:SEED``, and print what comes of it."""
    base, _, seed = file.rpartition(":")
    with workplace() as folder:
        for name in names:
            outcome = run_job(name, mutant(base, bases()[base], int(seed)).content, folder, limits)
            click.echo(f"{name}: {outcome.kind} {outcome.where} {outcome.seconds:.1f} s {outcome.megabytes:.0f} MiB")
            click.echo(outcome.text)


def table(rows: list[Row], names: tuple[str, ...]) -> str:
    """Return outcomes by job, then faults by where they are, most frequent first."""
    lines = [f"{'job':<14}" + "".join(f"{kind:>10}" for kind in KINDS)]
    counts = Counter((row["job"], row["kind"]) for row in rows)
    lines += [f"{name:<14}" + "".join(f"{counts[name, kind]:>10}" for kind in KINDS) for name in names]
    faults = [row for row in rows if row["kind"] not in GOOD]
    examples = {(row["kind"], row["where"]): row["file"] for row in faults}
    for (kind, where), number in Counter((row["kind"], row["where"]) for row in faults).most_common():
        lines.append(f"{number:>6}  {kind:<10} {where}   {examples[kind, where]}")
    return "\n".join(lines)


def keep_faults(folder: Path, faults: list[Row]) -> None:
    """Write every fault as a line of JSON, and one file of each."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "faults.jsonl").open("w") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in faults)
    made = bases()
    for row in {(row["kind"], row["where"]): row for row in faults}.values():
        base, _, seed = row["file"].rpartition(":")
        content = mutant(base, made[base], int(seed)).content
        (folder / f"{row['kind']}-{base}-{seed}.onnx").write_bytes(content)
