"""``onnxcam methods``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from onnxcam.cli import options
from onnxcam.cli.command import Command
from onnxcam.cli.output import print_json, table

if TYPE_CHECKING:
    from onnxcam.methods.base import Method


@click.command(cls=Command, examples=("onnxcam methods", "onnxcam methods --json"))
@options.as_json
def command(as_json: bool) -> None:
    """List the methods, and the wrappers of --wrap: what each needs, what it shows, its paper."""
    from onnxcam.methods.registry import methods, wrappers

    both = [*methods().values(), *wrappers().values()]
    if as_json:
        print_json([_describe(cls) for cls in both])
        return
    rows = [(cls.name, needs(cls), cls.summary(), cls.paper) for cls in both]
    click.echo(table([("METHOD", "NEEDS", "WHAT IT SHOWS", "PAPER"), *rows]), nl=False)


def needs(cls: type[Method]) -> str:
    """Return which values of the network a method needs, in a few words."""
    from onnxcam.methods.nested import NestedMethod

    if cls.kind == "wrapper":
        return "wraps a method"
    if issubclass(cls, NestedMethod):
        return "what its base needs"
    wanted = cls().needs
    value = {"layer": wanted.at, "biases": "bias", "attentions": "attention"}[wanted.reads]
    found = f"{value} gradient" if wanted.gradient else f"{value} values"
    found += ", backward rules" if wanted.propagates else ""
    return f"{found}, GAP head" if wanted.head == "gap-linear" else found


def _describe(cls: type[Method]) -> dict[str, Any]:
    from dataclasses import MISSING, fields

    from onnxcam.methods.papers import citation

    return {
        "name": cls.name,
        "kind": cls.kind,
        "needs": needs(cls),
        "summary": cls.summary(),
        "paper": cls.paper,
        "citation": citation(cls.paper),
        "fields": [
            {"name": field.name, "type": str(field.type), "default": field.default}
            for field in fields(cls)
            if field.default is not MISSING
        ],
    }
