"""The command line: thin commands over the package, with data on stdout, talk on stderr and exit codes from errors.

Nothing here imports more than click before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

import click

from onnxcam.cli.group import BROKEN_PIPE, INTERRUPTED, Commands, QuietEndError
from onnxcam.cli.output import complain, warnings_in_one_line
from onnxcam.errors import OnnxcamError, OutOfMemoryError

application = Commands(name="onnxcam")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 is success, 2 wrong usage, 130 an interrupt, 141 a reader that went away; anything from 3 on names the kind of
    error, as ``onnxcam.errors`` lists them.

    Args:
        arguments: what follows ``onnxcam``; those of this process if not given.
    """
    try:
        with warnings_in_one_line():
            code = application.main(arguments, prog_name="onnxcam", standalone_mode=False)
            sys.stdout.flush()
    except OnnxcamError as error:
        return complain(str(error), error.exit_code)
    except MemoryError as error:
        told = f"too little memory ({error}); use a smaller --batch, smaller images or a machine with more memory"
        return complain(told, OutOfMemoryError.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        return complain(_with_hint(error), error.exit_code)
    except click.ClickException as error:
        return complain(error.format_message(), error.exit_code)
    except QuietEndError as end:
        _silence_stdout()
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    return code if isinstance(code, int) else 0


def _with_hint(error: click.UsageError) -> str:
    """Return the message of wrong usage in one line, with where to read more."""
    command = error.ctx.command_path if error.ctx is not None else "onnxcam"
    message = error.format_message().rstrip(".")
    return f"{message[:1].lower()}{message[1:]} ({command} --help)"


def _silence_stdout() -> None:
    """Keep Python from complaining at exit about what it can no longer write."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
