"""What can be chosen stands in the manual: every option, method, wrapper, field and error."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields

import click
import pytest

from onnxcam import errors
from onnxcam.cli import application
from onnxcam.images.preprocess import PRESETS
from onnxcam.methods.registry import methods, wrappers
from onnxcam.metrics.base import Metric
from onnxcam.metrics.registry import metrics
from onnxcam.report.registry import formats
from onnxcam.targets.registry import forms, kinds
from tools.docs import page

_CONTEXT = click.Context(application)
_COMMANDS = application.list_commands(_CONTEXT)


def _section(topic: str, heading: str) -> str:
    text = page(topic).read_text()
    assert f"\n{heading}\n" in text, f"{topic} has no section {heading}"
    level = heading.partition(" ")[0]
    return text.partition(f"\n{heading}\n")[2].partition(f"\n{level} ")[0]


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_option_has_its_line(name: str) -> None:
    section = _section("command-line", f"## {name}")
    command = application.get_command(_CONTEXT, name)
    assert command is not None
    for option in command.params:
        for spelled in option.opts if isinstance(option, click.Option) else ():
            assert f"`{spelled}" in section, f"{name} {spelled}"


@pytest.mark.parametrize("cls", [*methods().values(), *wrappers().values()], ids=lambda cls: cls.name)
def test_every_field_of_a_method_is_explained(cls: type) -> None:
    section = _section("methods", f"### {cls.name}")  # type: ignore[attr-defined]
    for field in fields(cls):
        if field.default is not MISSING:
            row = next((line for line in section.splitlines() if line.startswith(f"| `{field.name}` |")), "")
            meaning = row.rpartition(" | ")[2].removesuffix(" |").strip()
            assert len(meaning) > 3, f"{field.name} is not explained in the docstring's Attributes"


@pytest.mark.parametrize("cls", metrics().values(), ids=metrics().keys())
def test_every_metric_has_its_section(cls: type[Metric]) -> None:
    section = _section("metrics", f"### {cls.name}")
    assert cls.summary() in section
    for field in fields(cls):
        assert f"| `{field.name}` | " in section, field.name


def test_every_form_of_a_target_is_in_its_table() -> None:
    text = page("targets").read_text()
    for form in forms():
        assert f"| `{form.written}` | " in text, form.written
    for kind in kinds().values():
        assert f"`{kind.__name__}`" in text, kind.__name__


def test_every_format_is_in_its_table() -> None:
    text = page("formats").read_text()
    for name, found in formats().items():
        assert f"| `{name}` | `{found.suffix}` |" in text, name


def test_every_preset_is_explained() -> None:
    text = page("preprocessing").read_text()
    for name in PRESETS:
        assert f"| `{name}` |" in text


def test_every_exit_code_is_in_the_table_of_errors() -> None:
    section = _section("troubleshooting", "## Exit codes")
    known = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.OnnxcamError)]
    for cls in known:
        if cls is not errors.OnnxcamError:
            row = next((line for line in section.splitlines() if line.startswith(f"| {cls.exit_code} | ")), "")
            assert f"`{cls.__name__}`" in row, cls.__name__
