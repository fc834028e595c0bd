"""``onnxcam inspect``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from onnxcam.cli import options
from onnxcam.cli.command import Command
from onnxcam.cli.output import print_json, shorten, table

if TYPE_CHECKING:
    from onnxcam.diagnostics.inspection import Inspection, Interface
    from onnxcam.graph.analysis.score import Score
    from onnxcam.graph.io.signature import DeclaredValue

_NAMES_SHOWN = 3
_NOTES = {"onnxcam.preprocess": "preprocessing", "onnxcam.labels": "labels"}


@click.command(cls=Command, examples=("onnxcam inspect model.onnx", "onnxcam inspect model.onnx --json > model.json"))
@options.model()
@options.score
@options.as_json
def command(model: str, score: str | None, as_json: bool) -> None:
    """Show the inputs of a model file, its score, and the layers to explain at."""
    from onnxcam.diagnostics.inspection import inspect

    found = inspect(model, score)
    if as_json:
        print_json(found.to_dict())
        return
    click.echo(f"{found.file.name}: {_bytes(found.size)}, exported by {found.file.exporter}, opset {found.file.opset}")
    click.echo()
    click.echo(table(_facts(found)), nl=False)
    if found.layers:
        click.echo()
        click.echo("layers, the last one first (for --layer, by index or name):")
        click.echo(table(_layers(found), "  "), nl=False)
    if found.missing:
        click.echo()
        click.echo("operators between input and score without a gradient rule:")
        click.echo(table([(kind, _some(names)) for kind, names in found.missing.items()], "  "), nl=False)
    if found.problems:
        click.echo()
        for problem in found.problems:
            click.echo(f"problem: {problem}")


def _facts(found: Inspection) -> list[tuple[str, str]]:
    """Return the lines above the layers, each as its heading and its text."""
    interface = found.interface
    rows = [("input", f"{_declared(one)}{_meaning(interface.axes.get(one.name, ''))}") for one in interface.inputs]
    rows += [("output", _declared(one)) for one in interface.outputs]
    rows.append(("batch", _batch(interface)))
    rows += [("score", text) for text in ([] if found.score is None else _score(found.score))]
    rows += [] if found.score is None else [("gradient", _gradient(found))]
    metadata = found.file.metadata
    rows += [("metadata", f"{_NOTES[key]} ({key})") for key in _NOTES if key in metadata]
    if others := sorted(metadata.keys() - _NOTES.keys()):
        rows.append(("metadata", ", ".join(others)))
    # A heading is printed once, before the first of its lines.
    return [("" if i and rows[i - 1][0] == word else word, text) for i, (word, text) in enumerate(rows)]


def _declared(value: DeclaredValue) -> str:
    return f"{value.name}  {value.dtype}  {'shape unknown' if value.shape is None else shape_text(value.shape)}"


def _meaning(axes: str) -> str:
    if not axes:
        return "  (no image)"
    return f"  {axes}"


def _batch(interface: Interface) -> str:
    size = interface.batch
    if size is None:
        return "open: any number of images per run"
    if interface.opened:
        return "fixed at 1 in the file; any number of images per run here, as a test run showed"
    return f"fixed at {size}: images run {'one by one' if size == 1 else f'{size} at a time'}"


def _score(score: Score) -> list[str]:
    means = {
        "softmax": "softmax turns it into probabilities",
        "sigmoid": "sigmoid turns it into probabilities",
        None: "no activation known: scores are shown as they are",
    }
    lines = [f"{shorten(score.name)}  {shape_text(score.shape) or 'shape unknown'}", means[score.activation]]
    if score.kind == "boxes":
        counted, held = score.box_axis, 3 - score.box_axis
        lines.append(f"detections lie along axis {counted}, the values of each along axis {held}")
        if score.coordinates:
            lines.append(f"the first {score.coordinates} values of each are taken as its coordinates")
    if score.passed:
        lines.append(f"followed in the model by {', '.join(reversed(score.passed))}")
    return lines


def _gradient(found: Inspection) -> str:
    if not found.missing:
        return "every operator between input and score has a rule"
    count = len(found.missing)
    return f"{count} operator{'s' * (count != 1)} without a rule, listed below"


def _layers(found: Inspection) -> list[tuple[str, ...]]:
    all_gradients = all(listed.gradient for listed in found.layers)
    rows: list[tuple[str, ...]] = [("INDEX", "NAME", "OPERATOR", "SHAPE", "AXES", "")]
    for listed in reversed(found.layers):
        layer = listed.layer
        notes = ["default"] if listed.index == -1 else []
        notes += [] if all_gradients or listed.gradient else ["no gradient"]
        notes += ["normalised after pooling: maps sum to 0"] if listed.zero_sum else []
        rows.append(
            (
                str(listed.index),
                shorten(layer.name),
                layer.op_type,
                shape_text(layer.shape),
                layer.axes,
                ", ".join(notes),
            )
        )
    return rows


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(map(shorten, names[:_NAMES_SHOWN])) + (f" and {more} more" if more > 0 else "")


def shape_text(shape: Sequence[int | str | None]) -> str:
    """Return a shape as people write it, an open size as a question mark."""
    return " x ".join("?" if size is None else str(size) for size in shape)


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
