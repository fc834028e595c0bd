"""``onnxcam docs``."""

from __future__ import annotations

import click

from onnxcam.cli.command import Command
from onnxcam.cli.output import table


@click.command(
    cls=Command, examples=("onnxcam docs", "onnxcam docs choosing-a-method", "onnxcam docs methods > methods.md")
)
@click.argument("topic", metavar="[TOPIC]", required=False)
def command(topic: str | None) -> None:
    """Show a page of the manual, or list its topics.

    A page is shown through the pager of a terminal, and printed as it is where stdout goes to a file or a pipe.
    """
    from onnxcam.docs import page

    if topic is None:
        click.echo(_topics(), nl=False)
    else:
        click.echo_via_pager(page(topic).text)


def _topics() -> str:
    """Return the topics of every part of the manual, each with its summary."""
    from onnxcam.docs import PARTS, pages

    known = pages().values()
    width = max(len(page.name) for page in known)
    parts = [
        f"{title}:\n" + table([(f"{page.name:{width}}", page.summary) for page in known if page.part == part], "  ")
        for part, title in PARTS.items()
    ]
    return "\n".join(parts)
