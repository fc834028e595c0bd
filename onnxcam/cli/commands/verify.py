"""``onnxcam verify``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from onnxcam.cli import options
from onnxcam.cli.command import Command
from onnxcam.cli.output import print_json, shorten, table

if TYPE_CHECKING:
    from onnxcam.attribution.image_reader import ImageReader
    from onnxcam.diagnostics.verification import Verification


@dataclass(frozen=True)
class CheckOptions:
    """Values of the options that say what is checked.

    Attributes:
        layer: name or index of the layer to check as well as the input.
        score: name of the tensor to explain.
        against: a second engine to compare with.
        seed: of random inputs and directions.
    """

    layer: str | None
    score: str | None
    against: Literal["torch"] | None
    seed: int


@click.command(
    cls=Command,
    examples=(
        "onnxcam verify model.onnx",
        "onnxcam verify model.onnx photo.jpg --preprocess imagenet --against torch",
        "onnxcam verify model.onnx --provider cuda --layer -2 --json",
    ),
)
@options.model()
@options.images()
@options.group(
    "check",
    CheckOptions,
    click.option(
        "--layer",
        metavar="NAME|INDEX",
        help="Layer to check as well as the input, as onnxcam inspect lists."
        "  [default: -1, the last one with spatial extent]",
    ),
    options.score,
    click.option("--against", type=click.Choice(["torch"]), help="A second engine to compare with (onnxcam[torch])."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of random inputs and directions."),
)
@options.preparation
@options.sessions
@options.as_json
def command(
    model: str,
    images: tuple[str, ...],
    check: CheckOptions,
    photographs: options.PhotographOptions,
    running: options.RunningOptions,
    as_json: bool,
) -> None:
    """Check this file's gradients on this machine.

    The gradient of the predicted class is compared with finite differences of the score along random directions, with
    that of the CPU where another provider runs, and with torch's where --against torch asks for it. Without an IMAGE
    the inputs are random numbers. A disagreement ends in exit code 11 and the name of the first tensor that is wrong.
    """
    from onnxcam.attribution.image_reader import ImageReader
    from onnxcam.diagnostics.verification import default_layer, verify
    from onnxcam.network.read import read_network

    network, name = default_layer(read_network(model, check.score), check.layer)
    reader = ImageReader(network, photographs.preprocess, photographs.resize)
    found = verify(
        network,
        name,
        _feeds(reader, images),
        options=running.build(),
        against=check.against,
        seed=check.seed,
    )
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
    found.require()


def _feeds(reader: ImageReader, images: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the prepared images by the input's name; None where there are none."""
    import numpy as np

    from onnxcam.errors import InputError
    from onnxcam.images import list_sources

    if not images:
        return None
    arrays = [reader.read(source).array for source in list_sources(list(images))]
    if len({array.shape for array in arrays}) != 1:
        raise InputError("the images become arrays of several sizes; verify with images of one size")
    if len(reader.network.inputs) != 1:
        raise InputError("the model has several inputs, and photographs fill only one; verify without images")
    return {reader.image.name: np.concatenate(arrays)}


def _print(found: Verification) -> None:
    click.echo(f"{found.model} on {found.provider}, score '{found.score}'")
    click.echo()
    rows = [("AT", "CHECK", "ERROR", "ALLOWED", "VERDICT", "")]
    for row in found.rows:
        error = "" if row.error is None else f"{row.error:.1e}"
        allowed = "" if row.tolerance is None else f"{row.tolerance:.0e}"
        rows.append((shorten(row.at), row.what, error, allowed, row.verdict, row.note))
    click.echo(table(rows), nl=False)
