"""Options that say what is written and printed."""

from __future__ import annotations

from dataclasses import dataclass

import click

from onnxcam.cli.options.common import as_json
from onnxcam.cli.options.grouping import group
from onnxcam.report.registry import default_formats, formats

_FILM = "film"


@dataclass(frozen=True)
class OutputOptions:
    """Values of these options.

    Attributes:
        folder: where files go.
        formats: names of the formats to write; none for the default ones.
        film: whether to draw films too.
        as_json: whether to print one JSON document instead of lines.
        quiet: whether to print neither progress nor notes.
    """

    folder: str
    formats: tuple[str, ...]
    film: bool
    as_json: bool
    quiet: bool

    @property
    def names(self) -> list[str] | None:
        """The formats to write, the film too where ``--film`` is given; None for the default ones."""
        return [*self.formats, *[_FILM] * self.film] if self.formats else None

    @property
    def draws_films(self) -> bool:
        """Whether to draw films: ``--film`` or ``--format film`` is given."""
        return self.film or _FILM in self.formats


output = group(
    "output",
    OutputOptions,
    click.option(
        "--out",
        "-o",
        "folder",
        metavar="DIR",
        default="onnxcam-out",
        show_default=True,
        help="Folder for the files of each image.",
    ),
    click.option(
        "--format",
        "formats",
        metavar="NAME",
        multiple=True,
        help=f"File to write for each image: {', '.join(formats())}; may be repeated. The record is always written."
        f"  [default: {', '.join(default_formats())}, as far as they apply]",
    ),
    click.option("--film", is_flag=True, help="Draw each image's maps of all sizes too, coarse to fine, in one strip."),
    as_json,
    click.option("--quiet", "-q", is_flag=True, help="No progress bar and no notes; errors and warnings stay."),
)
