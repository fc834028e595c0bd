"""``onnxcam operators``."""

from __future__ import annotations

import click

from onnxcam.cli import options
from onnxcam.cli.command import Command
from onnxcam.cli.output import print_json, table


@click.command(cls=Command, examples=("onnxcam operators", "onnxcam operators --json"))
@options.as_json
def command(as_json: bool) -> None:
    """List the operators that gradients propagate through, those that they do not, and why."""
    from onnxcam.autodiff.catalogue import operators

    rows = operators()
    if as_json:
        print_json([row.to_dict() for row in rows])
        return
    lines = [
        (
            f"{row.domain}:{row.name}" if row.domain else row.name,
            "" if row.since is None else f"{row.since}+",
            row.how if row.how == "rule" else f"{row.how}: {row.note}",
            row.checked,
        )
        for row in rows
    ]
    click.echo(table([("OPERATOR", "OPSET", "GRADIENT", "CHECKED AGAINST"), *lines]), nl=False)
