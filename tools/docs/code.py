"""The map of the code: folders in the order in which they import each other, with what their docstrings say."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

from tools.docs import ROOT

_PACKAGE = ROOT / "onnxcam"


def folders_table() -> str:
    """Return the table of folders and modules of the package, by the layers of the import contract, top first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(found["layers"] for found in contracts if found.get("containers") == ["onnxcam"])
    rows = ["| layer | folder or file | what it is |", "|---|---|---|"]
    for number, layer in zip(range(len(layers), 0, -1), layers, strict=True):
        for name in re.findall(r"\w+", layer):
            rows += [f"| {number} | `{shown}` | {_summary(path)} |" for shown, path in _parts(name)]
    return "\n".join(rows)


def _parts(name: str) -> list[tuple[str, Path]]:
    """Return a module, or a folder with the folders inside it, each as it is shown and the file of its docstring."""
    folder = _PACKAGE / name
    if not folder.is_dir():
        return [(f"{name}.py", _PACKAGE / f"{name}.py")]
    inits = sorted(folder.rglob("__init__.py"))
    return [(f"{init.parent.relative_to(_PACKAGE)}/", init) for init in inits]


def _summary(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    return re.sub(r"``(.+?)``", r"`\1`", docstring.splitlines()[0]).replace("|", "\\|")
