"""The command line: data on stdout, messages on stderr, exit codes from the class of the error.

Nothing here imports NumPy or onnxruntime before a command runs, so that ``--help`` answers at once.
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

    0 is success, 2 wrong usage, 130 an interrupt, 141 a closed pipe; the codes from 3 on are those that
    ``onnxcam.errors`` lists.

    Args:
        arguments: what follows ``onnxcam`` in the command line. Default: the arguments of this process.
    """
    try:
        with warnings_in_one_line():
            code = application.main(arguments, prog_name="onnxcam", standalone_mode=False)
            sys.stdout.flush()
    except OnnxcamError as error:
        return complain(str(error), error.exit_code)
    except MemoryError as error:
        message = f"too little memory ({error}); use a smaller --batch, smaller images or a machine with more memory"
        return complain(message, OutOfMemoryError.exit_code)
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
    """Return the message of a usage error in one line, with the command that shows help."""
    command = error.ctx.command_path if error.ctx is not None else "onnxcam"
    message = error.format_message().rstrip(".")
    return f"{message[:1].lower()}{message[1:]} ({command} --help)"


def _silence_stdout() -> None:
    """Redirect stdout to the null device, so that Python does not report at exit that it cannot be flushed."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
