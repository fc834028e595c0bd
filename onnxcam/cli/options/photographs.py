"""Options that say how photographs and other inputs become what the model takes, and what its classes are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from onnxcam.cli.options.grouping import group

if TYPE_CHECKING:
    from onnxcam.images import Resize

RESIZE = ("stretch", "crop", "letterbox")


@dataclass(frozen=True)
class PhotographOptions:
    """Values of these options.

    Attributes:
        preprocess: a preset's name, a JSON file or JSON text; None for what the model's metadata says.
        resize: how a photograph is brought to the model's size; None for what the preprocessing says.
        labels: file with the names of the classes.
        inputs: texts ``NAME=FILE.npy`` for inputs other than the image.
    """

    preprocess: str | None
    resize: Resize | None
    labels: str | None = None
    inputs: tuple[str, ...] = ()


_PREPROCESS = click.option(
    "--preprocess",
    "-p",
    metavar="PRESET|JSON",
    help="imagenet, unit, minus-one-to-one, caffe-bgr, none, a JSON file or JSON text."
    "  [default: what the model's metadata says]",
)
_RESIZE = click.option("--resize", type=click.Choice(RESIZE), help="How a photograph is brought to the model's size.")
_LABELS = click.option("--labels", metavar="FILE", help="Names of the classes: one a line, or JSON.")
_INPUT = click.option(
    "--input",
    "inputs",
    metavar="NAME=FILE.npy",
    multiple=True,
    help="Array for an input other than the image: one for all images, or with a row for each; may be repeated.",
)

preparation = group("photographs", PhotographOptions, _PREPROCESS, _RESIZE)
photographs = group("photographs", PhotographOptions, _PREPROCESS, _RESIZE, _LABELS, _INPUT)
