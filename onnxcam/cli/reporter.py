"""Report images one by one while a command runs: a line for each, and a progress bar that lines do not break."""

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
    """Prints a line for each image, or collects records for one JSON document.

    Attributes:
        records: one for each explained map; empty ones where lines are printed.
        errors: for each image that could not be explained, its name, the message and the exit code.
    """

    def __init__(self, as_json: bool, quiet: bool) -> None:
        """Make a reporter that prints lines, or with ``as_json`` collects records; ``quiet`` hides the progress bar."""
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
        """Yield the steps of a method that takes many runs, and count them in the progress bar's label."""
        for done, step in enumerate(steps):
            if self._bar is not None and not self._hidden:
                self._bar.label = f"step {done + 1} of {total}"
                self._bar.render_progress()
            yield step
        if self._bar is not None:
            self._bar.label = ""

    def report(self, one: Explanation, saved: Saved) -> None:
        """Report one explained image, and warn of what makes its map doubtful."""
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
        """Report one image that could not be explained."""
        self.clear()
        complain(str(error))
        self.errors.append({"image": image, "error": str(error), "exit_code": error.exit_code})
        self.advance()

    def document(self, explainer: Explainer) -> dict[str, Any]:
        """Return all records and errors as one JSON document."""
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
        """Erase the progress bar, so that a line can be printed in its place."""
        if self._bar is not None and not self._hidden:
            click.echo(_CLEAR_LINE, nl=False, err=True)

    def advance(self) -> None:
        """Move the progress bar on by one image."""
        if self._bar is not None:
            self._bar.update(1)


def line(one: Explanation, saved: Saved) -> str:
    """Return the line of one image: the top prediction, the explained class if it is another, the file to look at."""
    best, explained = one.top(1)[0][0], one.explained[0]
    text = _value(best, one)
    if explained.class_index != best.class_index:
        text += f", explained: {_value(explained, one)}"
    return f"{_name(one)}: {text} -> {saved.main}"


def _name(one: Explanation) -> str:
    return one.names[0] if one.names else "image"


def _value(prediction: Prediction, one: Explanation) -> str:
    return f"{prediction.label.split(',')[0]} {_amount(prediction.value, one.activation is not None)}"


def _amount(value: float, is_probability: bool) -> str:
    if not is_probability:
        return f"score {value:.3g}"
    return "<0.1%" if value < 0.0005 else f"{value:.1%}"
