from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import click
import pytest

from onnxcam.cli import application
from onnxcam.cli.command import Command
from onnxcam.cli.options import RESIZE
from onnxcam.images import Resize
from tests.helpers.commands import colour_model, draw, run, save

NAMES = application.list_commands(click.Context(application))
HEAVY = ("numpy", "onnx", "onnx_ir", "onnxruntime", "PIL")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_the_commands_are_there() -> None:
    assert {"cite", "explain", "inspect", "methods"} <= set(NAMES)


def module_of(name: str) -> Path:
    """Return the file that tests a command."""
    return Path(__file__).with_name(f"test_{name.replace('-', '_')}.py")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_a_module_of_tests(name: str) -> None:
    assert module_of(name).is_file(), f"add tests/cli/{module_of(name).name}"
    assert not module_of("novel").exists()


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, name, "--help")
    assert (ran.code, ran.err) == (0, "")
    command = application.get_command(click.Context(application), name)
    assert isinstance(command, Command)
    assert command.examples
    summary = command.get_short_help_str(200)
    assert summary.endswith((".", "pattern"))
    for example in command.examples:
        assert f"\n  {example}\n" in ran.out
        assert example.startswith(f"onnxcam {name}")
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in example.split() if word.startswith("--")} <= known
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_the_help_of_all_lists_each_command_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "--help")
    assert ran.code == 0
    commands = ran.out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in commands] == NAMES
    assert "\n  onnxcam explain --demo\n" in ran.out


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys)
    assert (ran.code, ran.out) == (2, "")
    assert "Commands:" in ran.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version").out == f"onnxcam {version('onnxcam')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explian"], "no command is named 'explian'; did you mean explain? (onnxcam --help)"),
        (["cite"], "missing argument 'NAME' (onnxcam cite --help)"),
        (["explain"], "give a model and at least one image, or --demo (onnxcam explain --help)"),
        (
            ["explain", "m.onnx", "a.png", "--demo"],
            "--demo has its own model and images; leave out MODEL and IMAGE (onnxcam explain --help)",
        ),
        (
            ["explain", "m.onnx", "a.png", "--set", "seed"],
            "--set takes FIELD=VALUE, not 'seed' (onnxcam explain --help)",
        ),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, *arguments)
    assert (ran.code, ran.out, ran.err) == (2, "", f"onnxcam: error: {message}\n")


def test_resize_offers_what_there_is() -> None:
    assert set(RESIZE) == set(get_args(Resize))


@pytest.mark.parametrize(
    "statement",
    [
        "import onnxcam",
        "import onnxcam.cli; onnxcam.cli.main(['--help'])",
        "import onnxcam.cli; onnxcam.cli.main(['explain', '--help'])",
    ],
)
def test_nothing_heavy_is_imported(statement: str) -> None:
    ran = python("-c", f"import sys; {statement}; print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)")
    assert (ran.returncode, ran.stderr) == (0, "[]\n")


def test_help_answers_at_once() -> None:
    # The bound is 0.3 s on a quiet machine; here other tests may run at the same time, so the best of several counts.
    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert python("-m", "onnxcam", "--help").returncode == 0
        times.append(time.perf_counter() - start)
    assert min(times) < 0.6


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
def test_an_interrupt_is_quiet(tmp_path: Path) -> None:
    model = save(colour_model(), tmp_path / "m.onnx")
    for index in range(3000):
        (tmp_path / f"{index:04}.png").symlink_to(draw(tmp_path / "one.png") if index == 0 else tmp_path / "one.png")
    command = [sys.executable, "-m", "onnxcam", "explain", str(model), str(tmp_path), "--batch", "1"]
    command += ["--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [line for line in err.splitlines() if not line.startswith("onnxcam: note: ")] == []


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
def test_a_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m onnxcam methods | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.stdout, ran.stderr) == ("141\n", "")
