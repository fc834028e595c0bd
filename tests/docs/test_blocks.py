"""The code of README and manual runs, as it stands there, on small files of the names that it uses."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from onnxcam.cli import main
from tests.helpers.manual_files import fill
from tests.helpers.markdown import FILES, Block, blocks
from tests.helpers.torch_shim import torchvision  # onnx2torch imports it

assert torchvision is not None

_SHELL = re.compile(r"[|>&;<]")
# As many of all blocks as may stand there without being run.
_UNTRIED = 8


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that examples name, and ``onnxcam`` on the path of shells."""
    inside = tmp_path / "inside"
    inside.mkdir()
    fill(inside)
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "onnxcam"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m onnxcam "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.chdir(inside)
    return inside


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_code_runs(
    file: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dataclasses look up annotations that are text in the module of the class.
    example = ModuleType("example_of_the_manual")
    monkeypatch.setitem(sys.modules, example.__name__, example)
    for block in blocks(file):
        if block.reason or block.language in ("text", "json"):
            continue
        if block.language == "sh":
            for line in block.code.replace("\\\n", " ").splitlines():
                _run(line, capsys)
        elif block.language == "python":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # maps of random weights may be blank
                code = compile(block.code, f"{file.name}, block {block.number}", "exec", dont_inherit=True)
                exec(code, vars(example))
        else:
            pytest.fail(f"{file.name}: a block of code names no language: sh, python, json or text")


def _run(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = line.partition(" #")[0].strip()
    if not command:
        return
    if _SHELL.search(command) or not command.startswith("onnxcam "):
        ran = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, f"{command}\n{ran.stderr}"
        return
    # A shell would expand patterns that are not in quotes; the command line expands them itself.
    code = main(shlex.split(command)[1:])
    said = capsys.readouterr().err
    assert code == 0, f"{command}\n{said}"


def test_few_blocks_are_not_run() -> None:
    found: list[Block] = [block for file in FILES for block in blocks(file)]
    untried = [block for block in found if block.reason]
    assert len(found) > 3 * len(untried)
    assert len(untried) <= _UNTRIED, [f"{block.file.name}: {block.reason}" for block in untried]
