"""The fuzzer of model files: what it makes, and that it notices what goes wrong."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnxcam.cli.output import complain
from onnxcam.errors import ModelError
from tools.fuzz import server
from tools.fuzz.bases import bases
from tools.fuzz.campaign import jobs_of, keep_faults, table
from tools.fuzz.jobs import JOBS, MismatchError
from tools.fuzz.mutants import Mutant, mutant, mutants
from tools.fuzz.outcome import Outcome
from tools.fuzz.server import Limits, run_job, workplace

WAYS = {"bytes", "message", "graph", "text"}


def _raised(error: Exception) -> Callable[[Path], int]:
    def job(path: Path) -> int:
        raise error

    return job


def _killed(path: Path) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def _late(path: Path) -> int:
    time.sleep(60)
    return 0


def _greedy(path: Path) -> int:
    return len(bytearray(1500 << 20)) * 0


def _said(*messages: str, code: int = 3) -> Callable[[Path], int]:
    def job(path: Path) -> int:
        for message in messages:
            complain(message)
        return code

    return job


FAULTS: list[tuple[Callable[[Path], int], str]] = [
    (lambda path: 0, "done"),
    (_said("m.onnx: no model; export it again"), "refused"),
    (_raised(ModelError("m.onnx: no model")), "refused"),
    (_said("one", "two"), "message"),
    (_said(), "message"),
    (_said("\x07"), "message"),
    (_said("x", code=1), "traceback"),
    (_raised(KeyError("a")), "traceback"),
    (_raised(RecursionError()), "traceback"),
    (_raised(MismatchError("another score")), "mismatch"),
    (_raised(MemoryError()), "memory"),
    (_greedy, "memory"),
    (_killed, "signal"),
    (_late, "hang"),
]


@pytest.mark.parametrize(("job", "kind"), FAULTS, ids=[f"{i}-{kind}" for i, (_, kind) in enumerate(FAULTS)])
def test_what_goes_wrong_is_noticed(job: Callable[[Path], int], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "JOBS", {"job": job})
    with workplace() as folder:
        # What the fork has in common with this process counts, and tests have imported much.
        found = run_job("job", b"", folder, Limits(seconds=3, megabytes=_resident() + 300))
    assert found.kind == kind, found


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def test_base_models_pass_every_job() -> None:
    """Unchanged models are no faults: faults are those of mutations."""
    made = bases()
    with workplace() as folder:
        found = {name: run_job(name, made["convolution"], folder, Limits()) for name in JOBS}
    assert {name: one.kind for name, one in found.items()} == dict.fromkeys(JOBS, "done")


def test_mutants_are_made_anew_from_their_seed() -> None:
    made = bases()
    assert len(made) >= 7
    first, again = list(mutants(made, 5, 60)), list(mutants(made, 5, 60))
    assert first == again
    assert {one.way for one in first} == WAYS
    assert sum(one.content == made[one.base] for one in first) < 12
    assert [mutant(one.base, made[one.base], one.seed) for one in first] == first
    assert list(mutants(made, 6, 60)) != first


def test_parts_are_all_of_the_files() -> None:
    made = {name: content for name, content in bases().items() if len(content) < 5000}
    parts = [one for part in range(3) for one in mutants(made, 1, 20, (part, 3))]
    assert sorted(one.seed for one in parts) == sorted(one.seed for one in mutants(made, 1, 20))


def test_a_file_gets_the_first_job_and_another() -> None:
    names = ("a", "b", "c")
    found = [jobs_of(Mutant("m", seed, "bytes", b""), names, every=False) for seed in range(4)]
    assert found == [("a", "b"), ("a", "c"), ("a", "b"), ("a", "c")]
    assert jobs_of(Mutant("m", 0, "bytes", b""), names, every=True) == names


def test_the_table_counts_faults_and_keeps_files(tmp_path: Path) -> None:
    name = "convolution"

    def row(kind: Any, where: str) -> dict[str, Any]:
        return {"file": f"{name}:7", "way": "bytes", "job": "inspect"} | Outcome(kind, where).to_dict()

    rows = [row("done", ""), row("traceback", "KeyError in a.py:f"), row("traceback", "KeyError in a.py:f")]
    lines = table(rows, ("inspect",)).splitlines()
    assert lines[1].split() == ["inspect", "1", "0", "0", "0", "2", "0", "0", "0"]
    assert lines[2].split() == ["2", "traceback", "KeyError", "in", "a.py:f", f"{name}:7"]
    keep_faults(tmp_path / "faults", rows[1:])
    assert len((tmp_path / "faults" / "faults.jsonl").read_text().splitlines()) == 2
    kept = (tmp_path / "faults" / f"traceback-{name}-7.onnx").read_bytes()
    assert kept == mutant(name, bases()[name], 7).content
