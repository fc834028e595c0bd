"""Run each job in a fork of one process that has imported everything, with limits of time and memory."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from tools.fuzz.jobs import JOBS
from tools.fuzz.outcome import Outcome, of_code, of_error

# What a fork may allocate before allocation itself fails; the limit that counts is that of resident memory.
_ADDRESSES = 12 << 30


@dataclass(frozen=True)
class Limits:
    """Limits of one job: seconds, and MiB of resident memory."""

    seconds: float = 30.0
    megabytes: float = 2048.0


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Give a folder with a photograph, and a file beside the model that external weights may name."""
    folder = Path(tempfile.mkdtemp(prefix="onnxcam-fuzz-"))
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    (folder / "w.bin").write_bytes(bytes(64))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_job(name: str, content: bytes, folder: Path, limits: Limits) -> Outcome:
    """Run one job on one file in a fork, and say what came of it."""
    path = folder / "m.onnx"
    path.write_bytes(content)
    reader, writer = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _in_fork(name, folder, writer)
    os.close(writer)
    answer = _read(reader, start + limits.seconds)
    late = answer is None
    if late:
        os.killpg(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    shutil.rmtree(folder / "out", ignore_errors=True)
    found = _judged(answer, status)
    found = replace(found, seconds=time.monotonic() - start, megabytes=usage.ru_maxrss / 1024)
    return replace(found, kind="memory", where=name) if found.megabytes > limits.megabytes else found


def _judged(answer: bytes | None, status: int) -> Outcome:
    if answer is None:
        return Outcome("hang")
    if os.WIFSIGNALED(status):
        return Outcome("signal", signal.Signals(os.WTERMSIG(status)).name)
    return Outcome(**json.loads(answer)) if answer else Outcome("signal", f"status {status} without an answer")


def _read(reader: int, end: float) -> bytes | None:
    """Return what a fork writes until it closes its end; None after the time is over."""
    parts: list[bytes] = []
    with os.fdopen(reader, "rb", buffering=0) as stream:
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([stream], [], [], left)[0]:
                return None
            part = stream.read(65536)
            if not part:
                return b"".join(parts)
            parts.append(part)


def _in_fork(name: str, folder: Path, writer: int) -> None:
    """Run the job, write what came of it, and end without the cleaning up of the parent's objects."""
    os.setsid()
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            found = of_code(JOBS[name](Path("m.onnx")), err.getvalue())
        except BaseException as error:  # whatever it is: that is what this looks for
            found = of_error(error)
    os.write(writer, json.dumps(found.to_dict()).encode()[:60000])
    os._exit(0)
