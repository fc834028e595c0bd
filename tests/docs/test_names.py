"""Names in README and manual exist: what ``onnxcam`` offers, modules, attributes, files, options, commands."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import Path

import click
import pytest

import onnxcam
from onnxcam.cli import application
from onnxcam.methods.registry import methods, wrappers
from tests.helpers.markdown import FILES, blocks, inline, prose
from tools.docs import ROOT

_CONTEXT = click.Context(application)
_OPTIONS = {
    option
    for name in application.list_commands(_CONTEXT)
    for parameter in (application.get_command(_CONTEXT, name) or click.Command("none")).params
    for option in (*parameter.opts, *parameter.secondary_opts)
} | {"-h", "--help", "--version"}
# What pip, pytest and the tools take.
_FOREIGN = {"-e", "-n", "-m", "-q", "--check", "--write"}
# Guides for developers, whose paths must exist too.
_GUIDES = [ROOT / "CONTRIBUTING.md", ROOT / "models" / "README.md", ROOT / "onnxcam" / "README.md"]
# Entries of a model's metadata, which look like attributes.
_METADATA = {"onnxcam.preprocess", "onnxcam.labels"}
_PATH = re.compile(r"(?<![\w./-])(?:onnxcam|tests|tools|models)/[\w./*-]*\w/?")
_DOTTED = re.compile(r"(?<![\w./-])onnxcam(?:\.\w+)+")
_TOOL = re.compile(r"python -m (tools(?:\.\w+)+)")
# Objects of the examples, and whose attributes they must have.
_OBJECTS = {"result": onnxcam.Explanation, "explainer": onnxcam.Explainer}


def _texts(file: Path) -> list[str]:
    """Return what is code: between backticks, and in blocks."""
    return [*inline(file), *(block.code for block in blocks(file))]


def _exists(dotted: str) -> bool:
    """Whether a name can be reached from a fresh ``import onnxcam``, or is a module or an attribute of one."""
    head, *rest = dotted.split(".")
    found = importlib.import_module(head)
    for position, name in enumerate(rest, start=1):
        if not hasattr(found, name):
            try:
                importlib.import_module(".".join([head, *rest[:position]]))
            except ModuleNotFoundError:
                return False
        found = getattr(found, name)
    return True


@pytest.mark.parametrize("file", [*FILES, *_GUIDES], ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_names_exist(file: Path) -> None:
    for text in _texts(file):
        for dotted in _DOTTED.findall(text):
            if dotted not in _METADATA and not dotted.endswith(".onnx"):
                assert _exists(dotted), f"{file.name}: {dotted}"
        for module in _TOOL.findall(text):
            assert importlib.util.find_spec(module), f"{file.name}: {module}"
        for path in _PATH.findall(text):
            assert list(ROOT.glob(path.rstrip("/"))), f"{file.name}: {path}"
        for name, cls in _OBJECTS.items():
            for attribute in re.findall(rf"(?<![\w.]){name}\.(?!py\b)(\w+)", text):
                known = hasattr(cls, attribute) or attribute in getattr(cls, "__dataclass_fields__", {})
                assert known or attribute in _attributes(cls), f"{file.name}: {name}.{attribute}"


def _attributes(cls: type) -> set[str]:
    """Return what the class's docstring calls its attributes."""
    return set(re.findall(r"^ {4,8}(\w+): ", (cls.__doc__ or "").partition("Attributes:")[2], re.MULTILINE))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_options_exist(file: Path) -> None:
    for text in inline(file):
        if text.startswith(("pip ", "pytest ", "python ")):
            continue
        for option in (
            re.findall(r"(?<![^\s|,\[])--?[a-z][\w-]*", text)
            if text.startswith(("--", "-p ", "-m ", "onnxcam "))
            else ()
        ):
            assert option in _OPTIONS | _FOREIGN, f"{file.name}: {option}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_methods_and_topics_exist(file: Path) -> None:
    known = {*methods(), *wrappers()}
    commands = set(application.list_commands(_CONTEXT))
    for text in _texts(file):
        for name in re.findall(r"onnxcam explain .*(?:--method|-m) ([a-z][\w+-]*)(?=\s|$)", text, re.MULTILINE):
            assert name in known, f"{file.name}: {name}"
        for name in re.findall(r"(?:^|\n)onnxcam ([a-z]+)", text):
            assert name in commands, f"{file.name}: onnxcam {name}"
    for name in inline(file):
        if re.fullmatch(r"[a-z-]+-(cam|grad)(\+\+)?", name) and file.stem != "add-a-method":
            assert name in known, f"{file.name}: {name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_quoted_messages_exist(file: Path) -> None:
    """What stands in double quotes in the text of a page is a message of the program."""
    source = _source()
    for message in re.findall(r'"([^"\n]{12,})"', re.sub(r"`[^`]*`", "", prose(file))):
        assert message in source, f"{file.name} quotes: {message}"


@cache
def _source() -> str:
    """Return the strings of the package, those that are written in pieces put together."""
    texts = [path.read_text() for path in sorted((ROOT / "onnxcam").rglob("*.py"))]
    return re.sub(r'"\s*f?"', "", " ".join(texts))


def test_names_that_do_not_exist_are_noticed() -> None:
    assert _exists("onnxcam.target.Box")
    assert _exists("onnxcam.errors.TargetError")
    assert not _exists("onnxcam.Explaner")
    assert not _exists("onnxcam.target.Boxes")
    assert not _exists("onnxcam.errors.nothing.there")
    assert "--targets" not in _OPTIONS
