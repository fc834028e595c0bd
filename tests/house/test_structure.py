"""The package keeps to its plan: folders that import contracts name, short files and functions, few parameters."""

from __future__ import annotations

import ast
import re
import statistics
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.source import ROOT, Function, Source, sources

FILE_LINES, FUNCTION_LINES, PARAMETERS = 400, 60, 8
MEDIAN_LINES = (60, 160)

# Modules at the package's top level, and why each is not in a folder.
TOP = {
    "__init__": "what `import onnxcam` gives",
    "__main__": "`python -m onnxcam`",
    "explainer": "the object that users begin with",
    "explanation": "what it returns",
    "errors": "the tree of errors, which every folder raises",
    "arrays": "array functions, which every folder calls",
    "discovery": "how registries of methods, targets, formats and commands find their parts",
}


def parameters(function: Function) -> int:
    """Return how many arguments a caller may give, ``self`` and ``cls`` not counted."""
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg) if one]
    return len([name for name in names if name not in ("self", "cls")])


def fields(cls: ast.ClassDef) -> int:
    """Return how many arguments the constructor of a dataclass takes of its own, 0 for other classes."""
    if not any("dataclass" in ast.unparse(decorator) for decorator in cls.decorator_list):
        return 0
    own = [ast.unparse(line) for line in cls.body if isinstance(line, ast.AnnAssign)]
    return len([line for line in own if "ClassVar" not in line and "init=False" not in line])


def violations(source: Source) -> Iterator[str]:
    """Yield what is too long or takes too much in one file of the package."""
    if source.lines > FILE_LINES:
        yield f"lines: {source.path}"
    for name, node in source.definitions():
        where = f"{source.path} {name}"
        if isinstance(node, ast.ClassDef):
            if fields(node) > PARAMETERS:
                yield f"parameters: {where}"
            continue
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES:
            yield f"lines: {where}"
        if parameters(node) > PARAMETERS:
            yield f"parameters: {where}"


def contracts() -> list[dict[str, Any]]:
    """Return the import contracts by layers that fail for a module which they do not name."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    return [contract for contract in found if contract["type"] == "layers" and contract.get("exhaustive")]


def contracted() -> set[str]:
    """Return every module and folder that stands in a layer, dotted."""
    return {
        f"{container}.{name}"
        for contract in contracts()
        for container in contract["containers"]
        for layer in contract["layers"]
        for name in re.findall(r"\w+", layer)
    }


def folders() -> list[str]:
    """Return every folder of the package that holds Python files, dotted."""
    found = {source.path.rpartition("/")[0].replace("/", ".") for source in sources("onnxcam")}
    return sorted(found - {"onnxcam"})


def test_every_folder_is_a_package() -> None:
    """import-linter does not see modules in a folder without ``__init__.py``."""
    for folder in folders():
        assert (ROOT / folder.replace(".", "/") / "__init__.py").is_file(), folder


@pytest.mark.parametrize("folder", folders())
def test_a_folder_stands_in_an_exhaustive_import_contract(folder: str) -> None:
    """By itself or, if it is a folder inside another, by the one that holds it."""
    parts = folder.split(".")
    assert {".".join(parts[:depth]) for depth in range(2, len(parts) + 1)} & contracted()
    assert "onnxcam" in {container for contract in contracts() for container in contract["containers"]}


def test_few_modules_stand_at_the_top() -> None:
    found = {path.stem for path in (ROOT / "onnxcam").glob("*.py")}
    assert found == set(TOP), "put it into a folder, or name it in TOP and say why"


@pytest.mark.parametrize("source", sources("onnxcam"), ids=lambda source: source.path)
def test_files_and_functions_are_short_and_take_few_parameters(source: Source) -> None:
    assert list(violations(source)) == []


def test_a_file_is_about_one_idea() -> None:
    low, high = MEDIAN_LINES
    assert low <= statistics.median(source.lines for source in sources("onnxcam")) <= high


@pytest.mark.parametrize("folder", ["tests", "tools"])
def test_no_file_beside_the_package_is_too_long(folder: str) -> None:
    assert [source.path for source in sources(folder) if source.lines > FILE_LINES] == []


def test_docstrings_say_what_the_thing_is() -> None:
    nodes = [(source.path, node) for source in sources("onnxcam") for _, node in source.definitions()]
    empty = re.compile(r"(yes|no|true|false)\b\s*([.,;:]|$)", re.IGNORECASE)
    assert [f"{path} {node.name}" for path, node in nodes if empty.match(ast.get_docstring(node) or "")] == []


def test_these_rules_notice_what_breaks_them() -> None:
    """A function of nine parameters and sixty-one lines, a dataclass of nine fields, a file of 401 lines."""
    arguments = ", ".join(f"a{i}" for i in range(9))
    body = "\n".join(["    pass"] * 60)
    attributes = "\n".join(f"    f{i}: int" for i in range(9))
    text = f"class C:\n    def f(self, {arguments}): ...\ndef g():\n{body}\n@dataclass\nclass D:\n{attributes}\n"
    text += "#\n" * (FILE_LINES + 1 - text.count("\n"))
    found = set(violations(Source("x.py", text, ast.parse(text))))
    assert found == {"lines: x.py", "parameters: x.py C.f", "lines: x.py g", "parameters: x.py D"}
    shorter = text.replace(", a8", "").replace("    f8: int\n", "").replace("    pass\n", "", 1)
    assert set(violations(Source("x.py", shorter[:-10], ast.parse(shorter)))) == set()
