"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])
Decorator = Callable[[_Function], _Function]

RESIZE = ("stretch", "crop", "letterbox")
ENGINES = ("onnx", "torch")


def _grid(text: str | None) -> tuple[int, int] | None:
    """Return rows and columns."""
    if text is None:
        return None
    rows, _, columns = text.lower().partition("x")
    if not (rows.isdecimal() and columns.isdecimal() and int(rows) and int(columns)):
        raise click.BadParameter(f"'{text}' is no grid; write rows and columns, such as 14x14")
    return int(rows), int(columns)


def _size(text: str | None) -> int | tuple[int, ...] | None:
    """Return places along each axis, or one number for all."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if not all(side.isdecimal() and int(side) for side in sides):
        raise click.BadParameter(f"'{text}' is no size; write 56, or rows and columns such as 28x56")
    return int(text) if len(sides) == 1 else tuple(map(int, sides))


def all_of(*decorators: Callable[[_Function], _Function]) -> Callable[[_Function], _Function]:
    """Return one decorator for several, which ``--help`` lists in the order given."""

    def decorate(function: _Function) -> _Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def model(**options: Any) -> Callable[[_Function], _Function]:
    """Return the argument MODEL."""
    return click.argument("model", metavar="MODEL", **options)


def images(**options: Any) -> Callable[[_Function], _Function]:
    """Return the argument IMAGE..., any number of files, folders and patterns."""
    return click.argument("images", metavar="IMAGE...", nargs=-1, **options)


score = click.option(
    "--score", metavar="NAME", help="Tensor to explain.  [default: the one before a final Softmax, Sigmoid ...]"
)
grid = click.option(
    "--grid",
    metavar="ROWSxCOLUMNS",
    callback=lambda ctx, option, text: _grid(text),
    help="How a transformer's tokens lie.  [default: what the graph tells, else a square]",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
quiet = click.option("--quiet", "-q", is_flag=True, help="No progress bar and no notes; errors and warnings stay.")

method = all_of(
    click.option("--method", "-m", metavar="NAME", default="hires-cam", show_default=True, help="See onnxcam methods."),
    click.option(
        "--set", "fields", metavar="FIELD=VALUE", multiple=True, help="Set a field of the method; may be repeated."
    ),
    click.option(
        "--wrap",
        "wraps",
        metavar="NAME[:FIELD=VALUE,...]",
        multiple=True,
        help="Wrap the method, for instance fuse:how=max,layers=-1,-2 or noise:n=8; may be repeated, innermost first.",
    ),
    click.option(
        "--layer",
        metavar="NAME|INDEX",
        help="Where to read the map, as onnxcam inspect lists.  [default: -1, the last one with spatial extent]",
    ),
    click.option("--to", metavar="NAME|INDEX", help="Where fg-cam, lrp, clrp and sglrp end.  [default: input]"),
    click.option(
        "--resolution",
        metavar="SIZE",
        callback=lambda ctx, option, text: _size(text),
        help="Size of the raw map, such as 56 or 28x56, instead of its layer.",
    ),
)
preparation = all_of(
    click.option(
        "--preprocess",
        "-p",
        metavar="PRESET|JSON",
        help="imagenet, unit, minus-one-to-one, caffe-bgr, none, a JSON file or JSON text."
        "  [default: what the model's metadata says]",
    ),
    click.option("--resize", type=click.Choice(RESIZE), help="How a photograph is brought to the model's size."),
)
photographs = all_of(
    preparation,
    click.option("--labels", metavar="FILE", help="Names of the classes: one a line, or JSON."),
)
provider = click.option("--provider", metavar="NAME", help="cuda, cpu, ...  [default: cuda where it works, else cpu]")
threads = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads of one operator.  [default: all cores]"
)
share_weights = click.option(
    "--share-weights/--copy-weights",
    default=True,
    help="Let both passes read one weight, or copy it for runtimes that confuse it.  [default: share]",
)
running = all_of(
    provider,
    click.option("--batch", type=click.IntRange(min=1), help="Images a run.  [default: what fits 1 GiB]"),
    threads,
    click.option(
        "--engine",
        type=click.Choice(ENGINES),
        default="onnx",
        show_default=True,
        help="torch converts the file and differentiates it with torch (needs onnxcam[torch]).",
    ),
    share_weights,
)
