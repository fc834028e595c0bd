"""The tests keep to their plan: folders as the package has them, helpers apart, and every test checks something."""

from __future__ import annotations

import ast
import re

import pytest

from tests.helpers.source import ROOT, Source, sources

# Folders of tests that mirror no folder of the package, and what they are about.
OTHERS = {
    "arrays": "array functions, which every folder calls",
    "docs": "README and manual",
    "errors": "what users read when something is wrong, and the exit code",
    "explainer": "the public object and its result",
    "house": "the code and the tests themselves",
    "models": "whole files that other people exported",
    "tools": "scripts of tools/",
}
# Folders of what tests share, at the top; folders of samples stand beside the tests of what they are samples of.
SHARED = {"helpers", "networks", "oracles"}

CHECKS = re.compile(r"_*(assert|check|raises|warns|fail)")
PRIVATE = re.compile(r"identit(y|ies) [0-9]|methods\.md|autodiff\.md|house\.md|style\.md|design\.md")


def folder(source: Source) -> str:
    return source.path.removeprefix("tests/").rpartition("/")[0]


def shared(source: Source) -> bool:
    parts = folder(source).split("/")
    return parts[0] in SHARED or parts[-1] == "samples"


def cases(source: Source) -> list[tuple[str, ast.AST]]:
    return [(name, node) for name, node in source.definitions() if name.rpartition(".")[2].startswith("test_")]


def checks(test: ast.AST) -> bool:
    """Return whether a test asserts, expects an error, or calls a helper named for what it checks."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call) and CHECKS.match(ast.unparse(node.func).rpartition(".")[2]):
            return True
    return False


def test_folders_are_those_of_the_package() -> None:
    package = {path.name for path in (ROOT / "onnxcam").iterdir() if path.is_dir()}
    for source in sources("tests"):
        first = folder(source).partition("/")[0]
        if shared(source) or first in OTHERS:
            continue
        assert not first or (ROOT / "onnxcam" / folder(source)).is_dir(), f"{source.path} mirrors no folder of onnxcam"
    assert not package & set(OTHERS) - {"docs"}


def test_nothing_lies_loose() -> None:
    loose = {source.path for source in sources("tests") if not folder(source)}
    assert loose == {"tests/__init__.py", "tests/conftest.py"}
    for source in sources("tests"):
        name = source.path.rpartition("/")[2]
        assert (ROOT / source.path).with_name("__init__.py").is_file(), source.path
        if name in ("__init__.py", "conftest.py"):
            continue
        assert name.startswith("test_") != shared(source), f"{source.path}: tests and what they share stand apart"


@pytest.mark.parametrize("source", sources("tests"), ids=lambda source: source.path)
def test_every_test_checks_something_and_is_named_for_it(source: Source) -> None:
    idle = [name for name, node in cases(source) if not checks(node)]
    assert idle == [], "assert there, or call a helper named check_ or assert_"
    assert [name for name, _ in cases(source) if re.match(r"test_[0-9]", name)] == [], "say what holds"
    if source.path != "tests/house/test_tests.py":
        assert not PRIVATE.search(source.text), "cite the paper"
