"""The command line in tests: a model whose answers are known, images drawn for it, and commands run in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from onnxcam.cli import main
from onnxcam.errors import OnnxcamError
from tests.helpers.models import model

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Ran:
    """What a command returned and wrote."""

    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Ran:
    """Run one command in this process."""
    code = main([str(argument) for argument in arguments])
    return Ran(code, *capsys.readouterr())


def explain(capsys: pytest.CaptureFixture[str], *options: object, model: str = "m.onnx", image: str = "a.png") -> Ran:
    """Explain one image."""
    return run(capsys, "explain", model, image, *options)


def check(ran: Ran, error: type[OnnxcamError], *said: str) -> None:
    """One line on stderr, nothing on stdout, the error's own exit code, and the words that help."""
    assert ran.out == ""
    assert ran.err.startswith("onnxcam: error: ")
    assert ran.err.count("\n") == 1, ran.err
    assert "Traceback" not in ran.err
    assert ran.code == error.exit_code, ran.err
    for words in said:
        assert words in ran.err, ran.err


def colour_model(metadata: bool = True, ending: str = "y = Softmax <axis = 1> (logits)") -> onnx.ModelProto:
    """Return a classifier of colours: four times the mean of each channel, which pixels from 0 to 1 enter."""
    weights = {"w": np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1) * 4}
    proto = model(
        f"""colours (float[n, 3, 8, 8] x) => (float[n, 3] y) {{
            c = Conv (x, w)
            a = Relu (c)
            pooled = GlobalAveragePool (a)
            logits = Flatten (pooled)
            {ending}
        }}""",
        weights,
    )
    proto.producer_name, proto.producer_version = "test", "1.0"
    if metadata:
        notes = {"onnxcam.preprocess": "unit", "onnxcam.labels": json.dumps(COLOURS)}
        onnx.helper.set_model_props(proto, notes)
    return proto


def save(proto: onnx.ModelProto, path: Path) -> Path:
    """Write a model."""
    path.write_bytes(proto.SerializeToString())
    return path


def draw(path: Path, colour: str = "red", size: tuple[int, int] = (8, 8)) -> Path:
    """Write an image whose left half has the colour, the right half being black."""
    picture = Image.new("RGB", size)
    picture.paste(colour, (0, 0, max(size[0] // 2, 1), size[1]))
    picture.save(path)
    return path
