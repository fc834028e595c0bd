"""The class of every command: a click command with examples in its help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


class Command(click.Command):
    """A command with examples at the end of its help."""

    def __init__(self, *arguments: Any, examples: Sequence[str], **options: Any) -> None:
        """Make the command; the examples are whole command lines."""
        super().__init__(*arguments, **options)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they are, not wrapped like prose."""
        write_examples(formatter, self.examples)


def write_examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    """Write the section of examples, each on a line of its own."""
    with formatter.section("Examples"):
        for line in examples:
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")
