"""Print tables and JSON to stdout, and errors, warnings and notes to stderr, one line each."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import click

from onnxcam.errors import OnnxcamWarning


def complain(message: str, code: int = 0) -> int:
    """Write one line of error to stderr and return the exit code."""
    _write_line("error", message)
    return code


def warn(message: str) -> None:
    """Write one line of warning to stderr."""
    _write_line("warning", message)


def note(message: str) -> None:
    """Write one line of information to stderr."""
    _write_line("note", message)


def _write_line(kind: str, message: str) -> None:
    # A reader of stderr that went away is no reason to stop, and there is nowhere to report it.
    with contextlib.suppress(BrokenPipeError):
        click.echo(f"onnxcam: {kind}: {' '.join(message.split())}", err=True)


@contextlib.contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Show every warning of onnxcam, in one line without the source code that raised it."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", OnnxcamWarning)
        show = warnings.showwarning

        def shown(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, OnnxcamWarning):
                warn(str(message))
            else:
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = shown
        yield


def table(rows: Sequence[Sequence[str]], indent: str = "") -> str:
    """Return rows with their columns aligned, two blanks apart, without blanks at the ends of lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = (zip(row, widths, strict=True) for row in rows)
    return "".join((indent + "  ".join(f"{cell:{width}}" for cell, width in row)).rstrip() + "\n" for row in cells)


def shorten(text: str, width: int = 48) -> str:
    """Return text of at most this width; an ellipsis replaces its middle."""
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[head + 1 - width :]}"


def print_json(value: Any) -> None:
    """Write one JSON document to stdout, with keys in the order given."""
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
