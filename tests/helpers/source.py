"""The repository's own Python files as syntax trees, for tests that check the code against the project's rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """A Python file.

    Attributes:
        path: from the root of the repository, with forward slashes.
        text: of the file.
        tree: its syntax tree.
    """

    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """How many lines the file has."""
        return self.text.count("\n")

    def definitions(self) -> Iterator[tuple[str, Function | ast.ClassDef]]:
        """Yield every function and class, with its name inside the file (``Class.method``)."""
        yield from _inside("", self.tree)


def _inside(prefix: str, parent: ast.AST) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for node in ast.iter_child_nodes(parent):
        inner = prefix
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield f"{prefix}{node.name}", node
            inner = f"{prefix}{node.name}."
        yield from _inside(inner, node)


@cache
def sources(folder: str) -> tuple[Source, ...]:
    """Return every Python file below a folder of the repository, in order of their paths."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.append(Source(path.relative_to(ROOT).as_posix(), text, ast.parse(text)))
    return tuple(found)
