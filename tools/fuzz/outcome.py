"""What came of one job on one file."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from onnxcam.errors import OnnxcamError

# In the order in which a table lists them; all but the first two are faults.
Kind: TypeAlias = Literal["done", "refused", "message", "mismatch", "traceback", "signal", "hang", "memory"]
KINDS: tuple[Kind, ...] = ("done", "refused", "message", "mismatch", "traceback", "signal", "hang", "memory")
GOOD: tuple[Kind, ...] = ("done", "refused")

_LONGEST = 2000
_FIRST_OWN_CODE = 3


@dataclass(frozen=True)
class Outcome:
    """What came of one job.

    Attributes:
        kind: ``done``; ``refused`` with one line and an exit code of ours; ``message``: a refusal without a line, with
            several, or with characters that a terminal obeys; ``mismatch``: another result than the file's;
            ``traceback``; a ``signal``; a ``hang``; too much ``memory``.
        where: what tells one fault from another: type of the error and the innermost place in our code.
        text: the message, or the end of the traceback.
        seconds: that it took.
        megabytes: peak memory of the process.
    """

    kind: Kind
    where: str = ""
    text: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """Return the fields in terms of JSON."""
        return asdict(self)


def of_code(code: int, err: str) -> Outcome:
    """Judge the exit code and the messages of a command."""
    if code == 0:
        return Outcome("message", "unprintable", err[-_LONGEST:]) if _moves_cursor(err) else Outcome("done")
    if code < _FIRST_OWN_CODE:
        return Outcome("traceback", f"exit code {code}", err[-_LONGEST:])
    lines = [line for line in err.splitlines() if line.startswith("onnxcam: error: ")]
    if len(lines) != 1 or _moves_cursor(err):
        return Outcome("message", f"exit code {code}, {len(lines)} lines", err[-_LONGEST:])
    return Outcome("refused", f"exit code {code}", lines[0])


def of_error(error: BaseException) -> Outcome:
    """Judge what a function raised."""
    text = str(error)
    if isinstance(error, OnnxcamError):
        bad = not text or _moves_cursor(text) or "\n" in text
        return Outcome("message" if bad else "refused", type(error).__name__, text[:_LONGEST])
    if type(error).__name__ == "MismatchError":
        return Outcome("mismatch", text[:80], text)
    if isinstance(error, MemoryError):
        return Outcome("memory", "MemoryError", text[:_LONGEST])
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/onnxcam/" in frame.filename and "/tools/" not in frame.filename]
    last = (ours or list(frames))[-1]
    place = f"{Path(last.filename).parent.name}/{Path(last.filename).name}:{last.name}"
    return Outcome(
        "traceback", f"{type(error).__name__} in {place}", "".join(traceback.format_exception(error))[-_LONGEST:]
    )


def _moves_cursor(text: str) -> bool:
    return any(ord(letter) < 32 and letter not in "\n\t" for letter in text)
