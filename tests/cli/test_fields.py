"""Methods and wrappers as the command line writes them."""

from __future__ import annotations

import click
import pytest

from onnxcam.cli.fields import build_method
from onnxcam.errors import InputError, NameNotFoundError
from onnxcam.methods.registry import method, wrap
from tests.helpers.commands import run


def test_wrappers_stand_innermost_first() -> None:
    built = build_method("layer-cam", [], ["fuse:how=max,layers=-1,-2,conv_3,shallow=1", "noise:n=8,sigma=0.2"])
    fused = wrap("fuse", method("layer-cam"), how="max", layers=(-1, -2, "conv_3"), shallow=1)
    assert built == wrap("noise", fused, n=8, sigma=0.2)
    assert build_method("grad-cam++", ["eps=1e-6"], ["noise"]) == wrap("noise", method("grad-cam++", eps=1e-6))


@pytest.mark.parametrize("text", ["-1,-2", "[-1, -2]", "(-1,-2)", "-1, -2,"])
def test_a_list_is_written_with_commas(text: str) -> None:
    assert build_method("refine-cam", [f"layers={text}"]) == method("refine-cam", layers=(-1, -2))


def test_lists_hold_numbers_and_names() -> None:
    assert build_method("refine-cam", ['layers=["a", 1]']) == method("refine-cam", layers=("a", 1))
    built = build_method("grad-cam", [], ["augment:factors=0.9,1,flip=no"])
    assert built == wrap("augment", method("grad-cam"), factors=(0.9, 1), flip=False)


def test_a_base_is_named() -> None:
    assert build_method("finer-cam", ["base=hires-cam", "count=2"]) == method("finer-cam", base="hires-cam", count=2)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("noisy:n=2", NameNotFoundError, "no wrapper is named 'noisy'; did you mean noise"),
        ("noise:m=2", InputError, "wrapper noise has no field m; it has n, sigma, seed"),
        ("noise:n=many", InputError, "field n of noise is 'many'; it must be of type int"),
        ("noise:n", click.UsageError, "--wrap takes FIELD=VALUE, not 'n'"),
        ("noise:method=cam", InputError, "wrapper noise takes the wrapped method as the argument inner"),
        ("principal", InputError, "principal takes a method whose map is a sum over channels"),
    ],
)
def test_errors_name_what_cannot_be_read(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        build_method("eigen-cam", [], [text])
    assert message in str(getattr(caught.value, "message", caught.value))


def test_the_option_is_in_the_help_of_explain(capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "explain", "--help")
    assert "--wrap NAME[:FIELD=VALUE,...]" in ran.out
    ran = run(capsys, "explain", "m.onnx", "a.png", "--wrap", "noisy")
    assert ran.code == 5
    assert ran.err.startswith("onnxcam: error: no wrapper is named 'noisy'; did you mean noise")
