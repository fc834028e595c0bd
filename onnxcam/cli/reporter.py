"""What a command says of each image while it goes on: one line, and a progress bar that the lines do not tear."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from onnxcam.cli.output import complain, warn
from onnxcam.errors import ImageError

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

    from onnxcam.explainer import Explainer
    from onnxcam.explanation import Explanation, Prediction
    from onnxcam.report.saving import Saved

_CLEAR_LINE = "\r\033[2K"


class Reporter:
    """Tells of images one by one and keeps their records.

    Attributes:
        records: what is known of each image that was explained.
        errors: what went wrong with each of the others.
    """

    def __init__(self, as_json: bool, quiet: bool) -> None:
        """Make a teller that prints lines, or with ``as_json`` only collects records."""
        self.records: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self._as_json = as_json
        self._hidden = quiet or not sys.stderr.isatty()
        self._bar: ProgressBar[int] | None = None

    @contextmanager
    def progress(self, count: int) -> Iterator[None]:
        """Show a progress bar on stderr while the body runs, if that is a terminal."""
        with click.progressbar(length=count, file=sys.stderr, hidden=self._hidden, show_pos=True) as bar:
            self._bar = bar
            try:
                yield
            finally:
                self._bar = None

    def steps(self, steps: Iterable[int], total: int) -> Iterator[int]:
        """Yield the steps of what takes many runs; the progress bar says how far it is."""
        for done, step in enumerate(steps):
            if self._bar is not None and not self._hidden:
                self._bar.label = f"step {done + 1} of {total}"
                self._bar.render_progress()
            yield step
        if self._bar is not None:
            self._bar.label = ""

    def tell(self, one: Explanation, saved: Saved) -> None:
        """Tell of one image that was explained, and of what makes its map doubtful."""
        self.clear()
        if self._as_json:
            files = {name: str(path) for name, path in saved.paths.items()}
            self.records.append(one.record() | {"files": files})
        else:
            self.records.append({})
            click.echo(line(one, saved))
        for doubt in one.warnings[0]:
            warn(f"{_name(one)}: {doubt}")

    def fail(self, image: str, error: ImageError) -> None:
        """Tell of one image that could not be explained."""
        self.clear()
        complain(str(error))
        self.errors.append({"image": image, "error": str(error), "exit_code": error.exit_code})
        self.advance()

    def document(self, explainer: Explainer) -> dict[str, Any]:
        """Return everything as one JSON document."""
        from onnxcam.report.files import plain

        return {
            "format": "onnxcam-explanations-1",
            "model": explainer.network.file.name,
            "preprocessing": explainer.preprocessing[0].to_dict(),
            "preprocessing_source": explainer.preprocessing[1],
            "records": plain(self.records),
            "errors": self.errors,
        }

    def clear(self) -> None:
        """Take the progress bar off its line, for something to be written there."""
        if self._bar is not None and not self._hidden:
            click.echo(_CLEAR_LINE, nl=False, err=True)

    def advance(self) -> None:
        """Move the progress bar on by one image."""
        if self._bar is not None:
            self._bar.update(1)


def line(one: Explanation, saved: Saved) -> str:
    """Return what one image's line says: the top prediction, the explained class if another, the file to look at."""
    best, explained = one.top(1)[0][0], one.explained[0]
    told = _value(best, one)
    if explained.class_index != best.class_index:
        told += f", explained: {_value(explained, one)}"
    return f"{_name(one)}: {told} -> {saved.main}"


def _name(one: Explanation) -> str:
    return one.names[0] if one.names else "image"


def _value(prediction: Prediction, one: Explanation) -> str:
    return f"{prediction.label.split(',')[0]} {_amount(prediction.value, one.activation is not None)}"


def _amount(value: float, is_probability: bool) -> str:
    if not is_probability:
        return f"score {value:.3g}"
    return "<0.1%" if value < 0.0005 else f"{value:.1%}"
