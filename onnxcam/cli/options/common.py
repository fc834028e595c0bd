"""Arguments and options that several commands have, one by one."""

from __future__ import annotations

from typing import Any

import click

from onnxcam.cli.options.grouping import Decorator


def model(**options: Any) -> Decorator:
    """Return the argument MODEL."""
    return click.argument("model", metavar="MODEL", **options)


def images(**options: Any) -> Decorator:
    """Return the argument IMAGE..., any number of files, folders and patterns."""
    return click.argument("images", metavar="IMAGE...", nargs=-1, **options)


score = click.option(
    "--score", metavar="NAME", help="Tensor to explain.  [default: the one before a final Softmax, Sigmoid ...]"
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
