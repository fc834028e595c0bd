"""``onnxcam verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from onnxcam.cli import options
from onnxcam.cli.command import Command
from onnxcam.cli.output import print_json, shorten, table

if TYPE_CHECKING:
    from onnxcam.diagnostics.verification import Verification
    from onnxcam.explainer import Explainer


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
@click.option(
    "--layer",
    metavar="NAME|INDEX",
    help="Where to check, beside the input, as onnxcam inspect lists.  [default: -1, the last with spatial extent]",
)
@options.score
@click.option("--against", type=click.Choice(["torch"]), help="A second engine to compare with (needs onnxcam[torch]).")
@click.option("--seed", type=int, default=0, show_default=True, help="Of random inputs and directions.")
@options.preparation
@options.provider
@options.threads
@options.share_weights
@options.as_json
def command(
    model: str,
    images: tuple[str, ...],
    layer: str | None,
    score: str | None,
    against: Literal["torch"] | None,
    seed: int,
    as_json: bool,
    provider: str | None,
    threads: int | None,
    share_weights: bool,
    **preparation: Any,
) -> None:
    """Check this file's gradients on this machine.

    The gradient of the predicted class is compared with differences of the score along random directions; with the CPU
    where another provider runs; and with torch's where --against torch asks for it. Without an IMAGE the inputs are
    random numbers. A disagreement ends in exit code 11 and the name of the first value that is wrong.
    """
    from onnxcam.diagnostics.verification import verify

    providers = None if provider is None else [provider]
    explainer, name = _explainer(model, layer, score, preparation)
    found = verify(
        explainer.network,
        name,
        _feeds(explainer, images),
        providers=providers,
        against=against,
        threads=threads,
        share_weights=share_weights,
        seed=seed,
    )
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
    found.require()


def _explainer(
    model: str, layer: str | None, score: str | None, preparation: dict[str, Any]
) -> tuple[Explainer, str | None]:
    """Return what reads images for the model, and the layer; None where the model has none and none was asked for."""
    from onnxcam.errors import UnsupportedError
    from onnxcam.explainer import Explainer

    how = {name: preparation[name] for name in ("preprocess", "resize")}
    try:
        explainer = Explainer(model, layer=layer, score=score, **how)
    except UnsupportedError:
        if layer is not None:
            raise
        return Explainer(model, "gradient", score=score, **how), None
    return explainer, explainer.layer.name


def _feeds(explainer: Explainer, images: tuple[str, ...]) -> dict[str, Any] | None:
    import numpy as np

    from onnxcam.errors import InputError
    from onnxcam.images import list_sources

    if not images:
        return None
    arrays = [explainer.read(source).array for source in list_sources(list(images))]
    if len({array.shape for array in arrays}) != 1:
        raise InputError("the images become arrays of several sizes; verify with images of one size")
    if len(explainer.network.inputs) != 1:
        raise InputError("the model has several inputs, which photographs do not fill; verify without images")
    return {explainer.image.name: np.concatenate(arrays)}


def _print(found: Verification) -> None:
    click.echo(f"{found.model} on {found.provider}, score '{found.score}'")
    click.echo()
    rows = [("AT", "CHECK", "ERROR", "ALLOWED", "VERDICT", "")]
    for row in found.rows:
        error = "" if row.error is None else f"{row.error:.1e}"
        allowed = "" if row.tolerance is None else f"{row.tolerance:.0e}"
        rows.append((shorten(row.at), row.what, error, allowed, row.verdict, row.note))
    click.echo(table(rows), nl=False)
