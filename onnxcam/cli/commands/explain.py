"""``onnxcam explain``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxcam.cli import options
from onnxcam.cli.command import Command
from onnxcam.cli.extra_inputs import ExtraInputs, split_inputs
from onnxcam.cli.output import note, print_json
from onnxcam.cli.photographs import batches, list_images
from onnxcam.cli.reporter import Reporter
from onnxcam.errors import ImageError, ModelError, OutOfMemoryError, ProviderError
from onnxcam.report.registry import find_formats
from onnxcam.targets.registry import explain_forms

if TYPE_CHECKING:
    from onnxcam.explainer import Explainer
    from onnxcam.explanation import Explanation
    from onnxcam.images import Photograph


@click.command(
    cls=Command,
    examples=(
        "onnxcam explain --demo",
        "onnxcam explain model.onnx photo.jpg --preprocess imagenet --labels names.txt",
        "onnxcam explain model.onnx photos/ '*.png' --labels names.txt --target tabby --out maps",
    ),
)
@options.model(required=False)
@options.images()
@click.option("--demo", is_flag=True, help="Explain the sample images with the model that come with onnxcam.")
@options.method
@click.option(
    "--target",
    "-t",
    metavar="TARGET",
    default="predicted",
    show_default=True,
    help=f"What to explain: {explain_forms()}.",
)
@options.photographs
@options.running
@options.output
def command(
    model: str | None,
    images: tuple[str, ...],
    demo: bool,
    target: str,
    method: options.MethodOptions,
    photographs: options.PhotographOptions,
    running: options.RunningOptions,
    output: options.OutputOptions,
) -> int:
    """Show where a model looked: an overlay, a raw map and a record for every image.

    An IMAGE is a file, a folder, or a pattern in quotes. One line for each gives the top prediction: if it makes no
    sense, check the preprocessing, for the map is then wrong too.
    """
    from onnxcam.report.files import make_folder
    from onnxcam.targets.parse import parse_targets

    input_files = split_inputs(photographs.inputs)
    find_formats(output.formats)
    model, images = _demo(model, images) if demo else _given(model, images)
    reporter = Reporter(output.as_json, output.quiet)
    explainer = _make_explainer(model, method, photographs, running, reporter)
    targets = parse_targets(target, explainer.labels)
    make_folder(output.folder)
    files = list_images(images, reporter.fail)
    extra = ExtraInputs(explainer, input_files, files)
    with reporter.progress(len(files)):
        for batch in batches(explainer, files, reporter.fail):
            inputs = extra.of([photograph.name for photograph in batch])
            explanation = _explain(explainer, batch, reporter, targets=targets, film=output.draws_films, inputs=inputs)
            if explanation is None:
                continue
            if not (reporter.records or output.quiet):
                reporter.clear()
                _note_choices(explainer)
            for row, one in enumerate(explanation):
                if row % len(targets) == 0:
                    reporter.advance()
                reporter.report(one, one.save(output.folder, formats=output.names)[0])
    return _finish(explainer, reporter, output)


def _given(model: str | None, images: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    if model is None:
        raise click.UsageError("give a model and at least one image, or --demo")
    if not images:
        raise click.UsageError("give at least one image: a file, a folder or a pattern")
    return model, images


def _demo(model: str | None, images: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    from importlib.resources import files

    if model is not None or images:
        raise click.UsageError("--demo has its own model and images; leave out MODEL and IMAGE")
    data = Path(str(files("onnxcam") / "data"))
    pictures = tuple(sorted(str(path) for path in data.glob("*.png")))
    if not pictures:
        raise ModelError(f"{data}: the samples are missing; install onnxcam again")
    return str(data / "shapes.onnx"), pictures


def _make_explainer(
    model: str,
    method: options.MethodOptions,
    photographs: options.PhotographOptions,
    running: options.RunningOptions,
    reporter: Reporter,
) -> Explainer:
    """Return the explainer that the options describe, with its graph loaded."""
    from onnxcam.explainer import Explainer
    from onnxcam.images import load_labels

    explainer = Explainer(
        model,
        method.build(),
        method.layer,
        method.score,
        options=running.build(),
        preprocess=photographs.preprocess,
        resize=photographs.resize,
        labels=None if photographs.labels is None else load_labels(photographs.labels),
        grid=method.grid,
        engine=running.engine,
        progress=reporter.steps,
        resolution=method.resolution,
    )
    # Before any photograph is read: an error of the model or the provider is reported once, and at once.
    _ = explainer.image_spec, explainer.session
    return explainer


def _explain(
    explainer: Explainer, batch: Sequence[Photograph], reporter: Reporter, *, targets: list[Any], **how: Any
) -> Explanation | None:
    """Return the explanation of some photographs, or None where the model does not run on images of their size.

    Args:
        explainer: of the model.
        batch: photographs of one size.
        reporter: gets the images that failed.
        targets: those of each photograph.
        **how: further arguments of ``Explainer.explain``.
    """
    try:
        return explainer.explain(batch, [targets] * len(batch), **how)
    except ProviderError as error:
        size_is_open = None in (explainer.image_spec.height, explainer.image_spec.width)
        if not size_is_open or (isinstance(error, OutOfMemoryError) and len(batch) > 1):
            raise
        # Where the model leaves the size open, only running it shows whether an image is too small for it.
        for photograph in batch:
            reporter.fail(photograph.name, ImageError(f"{photograph.name}: {error}"))
        return None


def _note_choices(explainer: Explainer) -> None:
    """Print what was chosen where the user did not: wrong preprocessing is the commonest silent mistake."""
    note(
        f"{explainer.method.name} at '{explainer.layer.name}' of the score '{explainer.network.score.name}' "
        f"on {explainer.session.provider}"
    )
    if (source := explainer.preprocessing[1]).startswith("assumed"):
        note(f"preprocessing {source}")


def _finish(explainer: Explainer, reporter: Reporter, output: options.OutputOptions) -> int:
    """Print what comes after the last image, and return the exit code."""
    if output.as_json:
        print_json(reporter.document(explainer))
    elif reporter.records and sys.stdout.isatty() and not output.quiet:
        slash = "" if output.folder.endswith("/") else "/"
        click.echo(f"{len(reporter.records)} explanations in {output.folder}{slash}", err=True)
    return ImageError.exit_code if reporter.errors else 0
