"""Files that are no models, or that cannot be explained: one line that says what and what to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxcam.errors import (
    ModelError,
    ProviderError,
    UnsupportedError,
)
from onnxcam.runtime.providers import CPU, available, has_cuda_driver
from tests.helpers.commands import Ran, check, colour_model, explain, run, save
from tests.helpers.models import floats, model
from tests.helpers.shared import shared_path


@pytest.mark.parametrize("command", ["inspect", "explain"])
@pytest.mark.parametrize(
    "content",
    [b"", b"This is no model.\n" * 20, b"\x00" * 100, b"\xff\xfe\xfd", b"\x08\x09"],
    ids=["empty", "text", "zeros", "noise", "a version and no more"],
)
def test_a_file_that_is_no_model(
    command: str, content: bytes, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("m.onnx").write_bytes(content)
    images = ["a.png"] if command == "explain" else []
    check(run(capsys, command, "m.onnx", *images), ModelError, "m.onnx", "not an ONNX model")


def test_a_truncated_model_at_every_length(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = colour_model(metadata=False).SerializeToString()
    for length in range(1, len(whole), 7):
        Path("m.onnx").write_bytes(whole[:length])
        ran = explain(capsys, "--preprocess", "unit", "--quiet")
        # What is cut between two of its parts may still be whole enough to run.
        if ran.code != 0:
            assert ran.code in {ModelError.exit_code, UnsupportedError.exit_code}, ran.err
            assert ran.err.count("\n") == 1
            assert ran.out == ""


@pytest.mark.parametrize("name", ["missing.onnx", "."])
def test_no_file(name: str, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, model=name), ModelError, "give the path of a .onnx file")


def external(location: str, offset: int = 0) -> onnx.ModelProto:
    """Return the model with its weights in another file."""
    proto = colour_model()
    tensor = proto.graph.initializer[0]
    entries = {"location": location, "offset": str(offset), "length": str(len(tensor.raw_data))}
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return proto


WEIGHTS = colour_model().graph.initializer[0].raw_data


def test_external_data_beside_the_model(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("w.bin").write_bytes(WEIGHTS)
    save(external("w.bin"), Path("m.onnx"))
    ran = explain(capsys, "-q")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("a.png: red 78.7%")


def test_external_data_that_is_missing(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(external("w.bin"), Path("m.onnx"))
    check(explain(capsys), ModelError, "weight 'w'", "'w.bin', which is missing")


def test_external_data_that_is_too_short(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("w.bin").write_bytes(WEIGHTS[:-1])
    save(external("w.bin"), Path("m.onnx"))
    check(explain(capsys), ModelError, "reaches past the end of 'w.bin'")


@pytest.mark.parametrize("way", ["parent", "absolute", "symlink", "folder symlink", "hidden in a path"])
@pytest.mark.parametrize("command", ["inspect", "explain"])
def test_external_data_outside_the_folder(
    way: str, command: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = workdir.parent / "secret.bin"
    secret.write_bytes(WEIGHTS)
    (workdir / "sub").mkdir()
    locations = {
        "parent": "../secret.bin",
        "absolute": str(secret),
        "symlink": "link.bin",
        "folder symlink": "link/secret.bin",
        "hidden in a path": "sub/../../secret.bin",
    }
    if way == "symlink":
        (workdir / "link.bin").symlink_to(secret)
    if way == "folder symlink":
        (workdir / "link").symlink_to(workdir.parent)
    save(external(locations[way]), Path("m.onnx"))
    ran = run(capsys, command, "m.onnx", *(["a.png"] if command == "explain" else []))
    check(ran, ModelError, "outside the model's folder")


@pytest.mark.parametrize("batch", ["n", "1"])
@pytest.mark.parametrize("kinds", [("Twist",), ("Twist", "Turn")])
def test_operators_without_a_rule_are_listed_all_at_once(
    batch: str, kinds: Sequence[str], workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = " ".join(f"v{i + 1} = my.own.{kind} (v{i})" for i, kind in enumerate(kinds))
    text = f"""g (float[{batch}, 3, 8, 8] x) => (float[{batch}, 4] y) {{
        c = Conv (x, w) v0 = Relu (c) {chain} p = GlobalAveragePool (v{len(kinds)}) y = Flatten (p)
    }}"""
    proto = model(text, {"w": floats(4, 3, 3, 3)})
    proto.opset_import.append(helper.make_opsetid("my.own", 1))
    save(proto, Path("m.onnx"))
    check(
        explain(capsys, "--layer", "v0"),
        UnsupportedError,
        f"no gradient rule for {len(kinds)} operator(s)",
        *(f"my.own:{kind}" for kind in kinds),
        "choose a later layer (closer to the output)",
    )


def test_a_standard_operator_without_a_rule(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) {
        c = Conv (x, w) a = Relu (c) d = Det (a) y = Identity (d)
    }"""
    save(model(text, {"w": floats(4, 3, 3, 3)}), Path("m.onnx"))
    check(explain(capsys, "--layer", "a"), UnsupportedError, "Det")


@pytest.mark.parametrize("name", ["customvision_plankton", "winml_squeezenet_dao_fp16"])
@pytest.mark.parametrize("command", ["inspect", "explain"])
def test_models_that_onnxruntime_refuses(
    name: str, command: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared_path("models", "refused", f"{name}.onnx")
    ran = run(capsys, command, path, *(["a.png"] if command == "explain" else []))
    check(ran, ModelError, "export the model again")


# What native code would print by itself, seen from outside


def outside(*arguments: object) -> Ran:
    command = [sys.executable, "-m", "onnxcam", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "rocm"])
def test_a_provider_that_does_not_load(provider: str, workdir: Path) -> None:
    """The build may list it: that it cannot load here is an error, never a run on the CPU."""
    if provider == "cuda" and has_cuda_driver():
        pytest.skip("CUDA may load on this machine")
    ran = outside("explain", "m.onnx", "a.png", "--provider", provider)
    listed = any(name.lower().startswith(provider) for name in available() if name != CPU)
    check(ran, ProviderError, "does not load on this machine" if listed else "not in this build")
    assert not Path("onnxcam-out").exists()


def test_a_model_that_onnxruntime_rejects(workdir: Path) -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 3] y) {
        d = Add (x, double) c = Conv (d, w) p = GlobalAveragePool (c) y = Flatten (p)
    }"""
    save(model(text, {"w": floats(3, 3, 3, 3), "double": np.ones(1)}), Path("m.onnx"))
    check(outside("explain", "m.onnx", "a.png", "-p", "unit"), ModelError, "onnxruntime rejects the model")


def test_an_operator_that_fails_while_it_runs(workdir: Path) -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 3] y) {
        c = Conv (x, w) p = GlobalAveragePool (c) f = Reshape (p, s) y = Identity (f)
    }"""
    save(model(text, {"w": floats(3, 3, 3, 3), "s": np.array([0, 7])}), Path("m.onnx"))
    check(outside("explain", "m.onnx", "a.png", "-p", "unit"), ProviderError)


def test_refused_models_from_outside(workdir: Path) -> None:
    for path in sorted(shared_path("models", "refused").glob("*.onnx")):
        check(outside("explain", path, "a.png"), ModelError)
