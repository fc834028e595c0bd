"""Reference pages that are written from the program itself: every command, every method."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import MISSING, fields

import click

from onnxcam.cli import application
from onnxcam.cli.command import Command
from onnxcam.methods.base import Method
from onnxcam.methods.registry import methods, wrappers
from onnxcam.metrics.base import Metric
from onnxcam.metrics.registry import metrics
from tools.docs.agreement import held_against


def commands() -> str:
    """Return a section for every command: how it is called, its arguments and options, examples."""
    context = click.Context(application, info_name="onnxcam")
    return "\n\n".join(_command(name, context) for name in application.list_commands(context))


def _command(name: str, parent: click.Context) -> str:
    command = application.get_command(parent, name)
    assert isinstance(command, Command)
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([f"onnxcam {name}", *command.collect_usage_pieces(context)])
    said = inspect.cleandoc(command.help or "").split("\n\n")
    paragraphs = [" ".join(paragraph.split()) for paragraph in said]
    rows = [_option(option, context) for option in command.params if isinstance(option, click.Option)]
    table = "\n".join(["| option | meaning |", "|---|---|", *rows, "| `-h`, `--help` | Show this and exit. |"])
    return "\n\n".join([f"## {name}", f"    {usage}", *paragraphs, table, *_examples(command.examples)])


def _examples(lines: Sequence[str]) -> list[str]:
    """Return a block of examples, and one of those that need a GPU, which tests do not run."""
    here = [line for line in lines if "cuda" not in line]
    there = [line for line in lines if "cuda" in line]
    blocks = ["\n".join(["```sh", *here, "```"])] if here else []
    return blocks + (["\n".join(["<!-- not run: needs a GPU -->", "```sh", *there, "```"])] if there else [])


def _option(option: click.Option, context: click.Context) -> str:
    found = option.get_help_record(context)
    assert found is not None
    names, text = found
    names = re.sub(r" / ", ", ", names)
    first = ", ".join(f"`{name}`" for name in names.split(", "))
    return f"| {_cell(first)} | {_cell(text)} |"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def method_sections() -> str:
    """Return a section for every method: its formula, source and fields, and what it was held against."""
    return "\n\n".join(f"{_section(name, method)}\n\n{held_against(name)}" for name, method in methods().items())


def wrapper_sections() -> str:
    """Return a section for every wrapper, with what it was held against."""
    return "\n\n".join(f"{_section(name, wrapper)}\n\n{held_against(name)}" for name, wrapper in wrappers().items())


def metric_sections() -> str:
    """Return a section for every metric."""
    return "\n\n".join(_section(name, metric) for name, metric in metrics().items())


def _section(name: str, method: type[Method] | type[Metric]) -> str:
    about, _, attributes = inspect.cleandoc(method.__doc__ or "").partition("\nAttributes:\n")
    text = re.sub(r"``(.+?)``", r"`\1`", about.strip(), flags=re.DOTALL)
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    meanings = _attributes(attributes)
    own = [field for field in fields(method) if field.default is not MISSING]
    if not own:
        return "\n\n".join([f"### {name}", *paragraphs])
    rows = ["| field | default | meaning |", "|---|---|---|"]
    for field in own:
        default = field.default
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        rows.append(f"| `{field.name}` | `{shown}` | {_cell(meanings.get(field.name, ''))} |")
    return "\n\n".join([f"### {name}", *paragraphs, "\n".join(rows)])


def _attributes(text: str) -> dict[str, str]:
    """Return what the docstring says of each attribute."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        begins = re.match(r" {4}(\w+): (.*)", line)
        if begins:
            name, found[begins[1]] = begins[1], begins[2]
        elif name and line.startswith(" " * 8):
            found[name] += f" {line.strip()}"
    return {key: re.sub(r"``(.+?)``", r"`\1`", value) for key, value in found.items()}
