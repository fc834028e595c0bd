"""The command group: every module of ``onnxcam.cli.commands`` is a command, found by its file name."""

from __future__ import annotations

import importlib
from typing import Any

import click

from onnxcam.cli.command import Command, write_examples
from onnxcam.discovery import module_names
from onnxcam.errors import did_you_mean

_EXAMPLES = (
    "onnxcam explain --demo",
    "onnxcam inspect model.onnx",
    "onnxcam explain model.onnx photo.jpg --preprocess imagenet --labels names.txt",
)

_COMMANDS = "onnxcam.cli.commands"
INTERRUPTED = 130
BROKEN_PIPE = 141


class QuietEndError(Exception):
    """Ends a command early without a message; click would print a line or return 1."""

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code


class Commands(click.Group):
    """A group that imports a command only when it is used or listed in the help."""

    def __init__(self, **options: Any) -> None:
        """Set the group's help text and its options ``--help``, ``-h`` and ``--version``."""
        super().__init__(
            help="White-box visual explanations for the ONNX file that you deploy.",
            context_settings={"help_option_names": ["-h", "--help"]},
            **options,
        )
        click.version_option(package_name="onnxcam", prog_name="onnxcam", message="%(prog)s %(version)s")(self)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return module_names(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Command | None:
        """Return one command, or None if there is none of that name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        found = importlib.import_module(f"{_COMMANDS}.{cmd_name}").command
        assert isinstance(found, Command), f"onnxcam.cli.commands.{cmd_name} has no command"
        found.name = cmd_name
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names; near names are suggested where there is none."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            ctx.fail(f"no command is named '{args[0]}'{did_you_mean(args[0], known)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise QuietEndError(BROKEN_PIPE) from None
        except KeyboardInterrupt:
            raise QuietEndError(INTERRUPTED) from None

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples at the end of the help, unwrapped."""
        write_examples(formatter, _EXAMPLES)
