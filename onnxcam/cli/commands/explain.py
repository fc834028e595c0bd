"""``onnxcam explain``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxcam.cli import options
from onnxcam.cli.command import Command
from onnxcam.cli.extra_inputs import ExtraInputs, split_inputs
from onnxcam.cli.fields import build_method
from onnxcam.cli.output import note, print_json
from onnxcam.cli.photographs import batches, list_images
from onnxcam.cli.reporter import Reporter
from onnxcam.errors import ImageError, ModelError, OutOfMemoryError, ProviderError
from onnxcam.targets.registry import explain_forms

if TYPE_CHECKING:
    from onnxcam.explainer import Explainer


@click.command(
    cls=Command,
    examples=(
        "onnxcam explain --demo",
        "onnxcam explain model.onnx photo.jpg --preprocess imagenet --labels names.txt",
        "onnxcam explain model.onnx photos/ '*.png' --target tabby --method grad-cam --out maps",
    ),
)
@options.model(required=False)
@options.images()
@click.option("--demo", is_flag=True, help="Explain the sample images with the model that come with onnxcam.")
@options.method
@options.score
@options.grid
@click.option(
    "--target",
    "-t",
    metavar="TARGET",
    default="predicted",
    show_default=True,
    help=f"What to explain: {explain_forms()}.",
)
@options.photographs
@click.option(
    "--out",
    "-o",
    metavar="DIR",
    default="onnxcam-out",
    show_default=True,
    help="Folder for the files.",
)
@click.option(
    "--format",
    "formats",
    metavar="NAME",
    multiple=True,
    help="File to write for each image, such as raw or overlay; may be repeated. The record is written in any case."
    "  [default: all that onnxcam docs formats marks as default]",
)
@click.option("--film", is_flag=True, help="Also draw each image's maps of every size, coarse to fine, in one strip.")
@click.option(
    "--input",
    "inputs",
    metavar="NAME=FILE.npy",
    multiple=True,
    help="What the model takes beside the image: one array for all images, or a row for each; may be repeated.",
)
@options.running
@options.as_json
@options.quiet
def command(
    model: str | None,
    images: tuple[str, ...],
    demo: bool,
    target: str,
    out: str,
    formats: tuple[str, ...],
    film: bool,
    inputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **how: Any,
) -> int:
    """Show where a model looked: an overlay, a raw map and a record for every image.

    An IMAGE is a file, a folder, or a pattern in quotes. For each one line tells the top prediction: if that is
    nonsense, the preprocessing is wrong, and so is the map.
    """
    from onnxcam.report.files import make_folder
    from onnxcam.report.registry import find_formats
    from onnxcam.targets.parse import parse_targets

    find_formats(formats)
    if formats and film:
        formats = (*formats, "film")
    beside_files = split_inputs(inputs)
    model, images = _demo(model, images) if demo else _given(model, images)
    teller = Reporter(as_json, quiet)
    explainer = make_explainer(model, teller, **how)
    targets = parse_targets(target, explainer.labels)
    make_folder(out)
    files = list_images(images, teller.fail)
    beside = ExtraInputs(explainer, beside_files, files)
    with teller.progress(len(files)):
        for batch in batches(explainer, files, teller.fail):
            try:
                explanation = explainer.explain(
                    batch,
                    [targets] * len(batch),
                    film=film or "film" in formats,
                    inputs=beside.of([photograph.name for photograph in batch]),
                )
            except ProviderError as error:
                if not _is_open(explainer) or (isinstance(error, OutOfMemoryError) and len(batch) > 1):
                    raise
                # Where the model leaves the size open, only running it shows whether an image is too small for it.
                for photograph in batch:
                    teller.fail(photograph.name, ImageError(f"{photograph.name}: {error}"))
                continue
            if not (teller.records or quiet):
                teller.clear()
                _introduce(explainer)
            for image in range(len(batch)):
                teller.advance()
                for row in range(image * len(targets), (image + 1) * len(targets)):
                    one = explanation[row]
                    teller.tell(one, one.save(out, formats=formats or None)[0])
    if as_json:
        print_json(teller.document(explainer))
    elif teller.records and sys.stdout.isatty() and not quiet:
        click.echo(f"{len(teller.records)} explanations in {out}{_slash(out)}", err=True)
    return ImageError.exit_code if teller.errors else 0


def _given(model: str | None, images: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    if model is None:
        raise click.UsageError("give a model and at least one image, or --demo")
    if not images:
        raise click.UsageError("give at least one image: a file, a folder or a pattern")
    return model, images


def _demo(model: str | None, images: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    from importlib.resources import files

    if model is not None or images:
        raise click.UsageError("--demo brings its own model and images; give none beside it")
    data = Path(str(files("onnxcam") / "data"))
    pictures = tuple(sorted(str(path) for path in data.glob("*.png")))
    if not pictures:
        raise ModelError(f"{data}: the samples are missing; install onnxcam again")
    return str(data / "shapes.onnx"), pictures


def make_explainer(
    model: str,
    teller: Reporter,
    *,
    method: str,
    fields: tuple[str, ...],
    wraps: tuple[str, ...],
    layer: str | None,
    to: str | None,
    resolution: int | tuple[int, ...] | None,
    score: str | None,
    preprocess: str | None,
    resize: Any,
    labels: str | None,
    provider: str | None,
    batch: int | None,
    threads: int | None,
    grid: tuple[int, int] | None,
    engine: Any,
    share_weights: bool,
) -> Explainer:
    """Return the explainer that the options describe, with its graph loaded."""
    from onnxcam.explainer import Explainer
    from onnxcam.images import load_labels

    explainer = Explainer(
        model,
        build_method(method, fields, wraps, to),
        layer,
        score,
        None if provider is None else [provider],
        preprocess=preprocess,
        resize=resize,
        labels=None if labels is None else load_labels(labels),
        batch_size=batch,
        threads=threads,
        grid=grid,
        engine=engine,
        share_weights=share_weights,
        progress=teller.steps,
        resolution=resolution,
    )
    # Before any photograph is read: what is wrong with the model or the provider is said once, and at once.
    _ = explainer.image_spec, explainer.session
    return explainer


def _introduce(explainer: Explainer) -> None:
    """Say what was chosen where the user did not: wrong preprocessing is the commonest silent mistake."""
    note(
        f"{explainer.method.name} at '{explainer.layer.name}' of the score '{explainer.network.score.name}' "
        f"on {explainer.session.provider}"
    )
    if (source := explainer.preprocessing[1]).startswith("assumed"):
        note(f"preprocessing {source}")


def _is_open(explainer: Explainer) -> bool:
    return None in (explainer.image_spec.height, explainer.image_spec.width)


def _slash(folder: str) -> str:
    return "" if folder.endswith("/") else "/"
