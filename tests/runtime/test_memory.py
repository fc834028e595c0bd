"""Too little memory for one run: one line that says what to make smaller, and which is true."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnxcam
from onnxcam.errors import OutOfMemoryError, ProviderError
from onnxcam.explanation import Explanation
from onnxcam.runtime.messages import wants_memory
from tests.helpers.commands import Ran, check, draw, run, save
from tests.helpers.models import floats, model

limits = pytest.mark.skipif(
    importlib.util.find_spec("resource") is None or not Path("/proc/self/statm").exists(),
    reason="needs limits of address space, and to know how much of it is taken, as Linux has them",
)

MIB = 2**20
# Takes a margin in bytes before the arguments of the command line: everything is loaded already when it is set.
_LIMITED = """
import resource, sys
import numpy, onnx, onnxruntime, PIL.Image
import onnxcam.explainer, onnxcam.report.saving, onnxcam.report.overlay, onnxcam.perturbation
from onnxcam.cli import main
from onnxcam.methods.registry import methods
methods()
numpy.ones((64, 64), "f") @ numpy.ones((64, 64), "f")
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""

# OpenBLAS takes memory for each thread, and ends the process where it gets none.
_ENV = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


def network(side: int) -> onnx.ModelProto:
    """Return a classifier whose one layer takes 1 KiB for each pixel."""
    text = f"""g (float[n, 3, {side}, {side}] x) => (float[n, 4] y) {{
        c = Conv (x, w) a = Relu (c) m = GlobalMaxPool (a) f = Flatten (m) y = MatMul (f, v)
    }}"""
    return model(text, {"w": floats(256, 3, 1, 1), "v": floats(256, 4)})


def limited(folder: Path, margin: int, *options: object, images: int = 1, side: int = 112) -> Ran:
    """Explain photographs, ``side`` pixels each way, with so much memory more than onnxcam takes by itself."""
    save(network(side), folder / "m.onnx")
    (folder / "p").mkdir(exist_ok=True)
    for i in range(images):
        draw(folder / "p" / f"{i}.png", size=(side, side))
    how = ["m.onnx", "p", "-p", "unit", "-q", "--provider", "cpu", "--threads", "1", *options]
    command = [sys.executable, "-c", _LIMITED, str(margin), "explain", *map(str, how)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=folder, env=_ENV)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@limits
def test_too_many_images_at_once(tmp_path: Path) -> None:
    ran = limited(tmp_path, 192 * MIB, "--batch", 64, images=16)
    check(ran, ProviderError, "has too little memory for this run", "use a smaller --batch (batch_size)")


@limits
def test_too_many_channels_of_one_image_at_once(tmp_path: Path) -> None:
    """And what the message advises does help."""
    options = ("-m", "ablation-cam", "--set", "closed_form=false", "--batch")
    ran = limited(tmp_path, 192 * MIB, *options, 256, side=56)
    check(ran, ProviderError, "has too little memory for this run", "use a smaller --batch (batch_size)")
    fewer = limited(tmp_path, 192 * MIB, *options, 1, side=56)
    assert (fewer.code, fewer.err) == (0, "")


@limits
def test_one_image_that_is_too_large(tmp_path: Path) -> None:
    ran = limited(tmp_path, 192 * MIB, side=448)
    check(ran, ProviderError, "has too little memory for this run", "cannot have fewer rows", "use a smaller image")
    assert "--batch" not in ran.err


def test_arrays_of_numpy_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As NumPy itself says it: an array of more numbers than there are addresses."""
    explainer = onnxcam.Explainer(network(8), "eigen-cam", providers=["cpu"])
    monkeypatch.setattr(type(explainer.method), "explain", lambda *_: np.zeros(2**55))
    with pytest.raises(OutOfMemoryError, match=r"too little memory .*Unable to allocate .*--batch") as caught:
        explainer(floats(1, 3, 8, 8))
    assert isinstance(caught.value.__cause__, MemoryError)


def test_the_command_line_reports_any_want_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(network(8), tmp_path / "m.onnx")
    draw(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Explanation, "save", lambda *_, **__: np.zeros(2**55))
    check(run(capsys, "explain", "m.onnx", "a.png", "-p", "unit", "-q"), ProviderError, "too little memory", "--batch")


@pytest.mark.parametrize(
    ("text", "wanting"),
    [
        ("Failed to allocate memory for requested buffer of size 205520896", True),
        ("Available memory of 10 is smaller than requested bytes of 20", True),
        ("std::bad_alloc", True),
        ("CUDA failure 2: out of memory ; GPU=0", True),
        ("CUBLAS_STATUS_ALLOC_FAILED", True),
        ("pthread_create failed, error code: 12 error msg: Cannot allocate memory", True),
        ("The input tensor cannot be reshaped to the requested shape", False),
        ("CUDA failure 700: an illegal memory access was encountered", False),
    ],
)
def test_what_counts_as_want_of_memory(text: str, wanting: bool) -> None:
    assert wants_memory(RuntimeError(text)) == wanting
