"""Options that choose a method, the score that it explains, and the layer or size of its map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from onnxcam.cli.options.common import score
from onnxcam.cli.options.grouping import group

if TYPE_CHECKING:
    from onnxcam.methods.base import Method


@dataclass(frozen=True)
class MethodOptions:
    """Values of these options.

    Attributes:
        method: the method's name.
        fields: texts ``FIELD=VALUE`` that set its fields.
        wraps: texts ``NAME[:FIELD=VALUE,...]``, innermost wrapper first.
        layer: name or index of the layer to explain at.
        to: name or index of the layer at which methods that propagate stop.
        resolution: size of the raw map, instead of a layer.
        score: name of the tensor to explain.
        grid: rows and columns of a transformer's tokens.
    """

    method: str
    fields: tuple[str, ...]
    wraps: tuple[str, ...]
    layer: str | None
    to: str | None
    resolution: int | tuple[int, ...] | None
    score: str | None
    grid: tuple[int, int] | None

    def build(self) -> Method:
        """Return the method with its fields set, wrapped; errors as of ``build_method``."""
        from onnxcam.cli.fields import build_method

        return build_method(self.method, self.fields, self.wraps, self.to)


def _size(ctx: click.Context, option: click.Parameter, text: str | None) -> int | tuple[int, ...] | None:
    """Return the number of positions along each axis, or one number for all axes."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if not all(side.isdecimal() and int(side) for side in sides):
        raise click.BadParameter(f"'{text}' is no size; write 56, or rows and columns such as 28x56")
    return int(text) if len(sides) == 1 else tuple(map(int, sides))


def _grid(ctx: click.Context, option: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """Return rows and columns."""
    if text is None:
        return None
    rows, _, columns = text.lower().partition("x")
    if not (rows.isdecimal() and columns.isdecimal() and int(rows) and int(columns)):
        raise click.BadParameter(f"'{text}' is no grid; write rows and columns, such as 14x14")
    return int(rows), int(columns)


method = group(
    "method",
    MethodOptions,
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
        help="Layer to explain at, as onnxcam inspect lists.  [default: -1, the last one with spatial extent]",
    ),
    click.option(
        "--to", metavar="NAME|INDEX", help="Layer at which fg-cam, lrp, clrp and sglrp stop.  [default: input]"
    ),
    click.option(
        "--resolution",
        metavar="SIZE",
        callback=_size,
        help="Size of the raw map, such as 56 or 28x56, instead of a layer.",
    ),
    score,
    click.option(
        "--grid",
        metavar="ROWSxCOLUMNS",
        callback=_grid,
        help="Rows and columns of a transformer's tokens.  [default: as the graph says, else a square]",
    ),
)
