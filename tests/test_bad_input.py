"""Everything that users and files do wrong: one line that says what and what to do, an exit code of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxcam.errors import (
    DependencyError,
    ImageError,
    InputError,
    ModelError,
    NameNotFoundError,
    OnnxcamError,
    ProviderError,
    TargetError,
    UnsupportedError,
)
from onnxcam.runtime.providers import CPU, available, has_cuda_driver
from tests.commands import Ran, check, colour_model, draw, run, save
from tests.models import floats, model
from tests.shared import shared_path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, below one that is not to be reached: a good model ``m.onnx`` and a good image ``a.png``."""
    folder = tmp_path / "inside"
    folder.mkdir()
    monkeypatch.chdir(folder)
    save(colour_model(), Path("m.onnx"))
    draw(Path("a.png"))
    return folder


def explain(capsys: pytest.CaptureFixture[str], *options: object, model: str = "m.onnx", image: str = "a.png") -> Ran:
    return run(capsys, "explain", model, image, *options)


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = [cls.exit_code for cls in OnnxcamError.__subclasses__()]
    assert len(set(codes)) == len(codes)
    assert min(codes) > 2


# Models


@pytest.mark.parametrize("command", ["inspect", "explain"])
@pytest.mark.parametrize(
    "content",
    [b"", b"This is no model.\n" * 20, b"\x00" * 100, b"\xff\xfe\xfd", b"\x08\x09"],
    ids=["empty", "text", "zeros", "noise", "a version and no more"],
)
def test_a_file_that_is_no_model(command: str, content: bytes, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.onnx").write_bytes(content)
    images = ["a.png"] if command == "explain" else []
    check(run(capsys, command, "m.onnx", *images), ModelError, "m.onnx", "not an ONNX model")


def test_a_truncated_model_at_every_length(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
def test_no_file(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_external_data_beside_the_model(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("w.bin").write_bytes(WEIGHTS)
    save(external("w.bin"), Path("m.onnx"))
    ran = explain(capsys, "-q")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("a.png: red 78.7%")


def test_external_data_that_is_missing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(external("w.bin"), Path("m.onnx"))
    check(explain(capsys), ModelError, "weight 'w'", "'w.bin', which is missing")


def test_external_data_that_is_too_short(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("w.bin").write_bytes(WEIGHTS[:-1])
    save(external("w.bin"), Path("m.onnx"))
    check(explain(capsys), ModelError, "reaches past the end of 'w.bin'")


@pytest.mark.parametrize("way", ["parent", "absolute", "symlink", "folder symlink", "hidden in a path"])
@pytest.mark.parametrize("command", ["inspect", "explain"])
def test_external_data_outside_the_folder(
    way: str, command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = place.parent / "secret.bin"
    secret.write_bytes(WEIGHTS)
    (place / "sub").mkdir()
    locations = {
        "parent": "../secret.bin",
        "absolute": str(secret),
        "symlink": "link.bin",
        "folder symlink": "link/secret.bin",
        "hidden in a path": "sub/../../secret.bin",
    }
    if way == "symlink":
        (place / "link.bin").symlink_to(secret)
    if way == "folder symlink":
        (place / "link").symlink_to(place.parent)
    save(external(locations[way]), Path("m.onnx"))
    ran = run(capsys, command, "m.onnx", *(["a.png"] if command == "explain" else []))
    check(ran, ModelError, "outside the model's folder")


@pytest.mark.parametrize("batch", ["n", "1"])
@pytest.mark.parametrize("kinds", [("Twist",), ("Twist", "Turn")])
def test_operators_without_a_rule_are_listed_all_at_once(
    batch: str, kinds: Sequence[str], place: Path, capsys: pytest.CaptureFixture[str]
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
        "choose a layer behind them",
    )


def test_a_standard_operator_without_a_rule(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) {
        c = Conv (x, w) a = Relu (c) d = Det (a) y = Identity (d)
    }"""
    save(model(text, {"w": floats(4, 3, 3, 3)}), Path("m.onnx"))
    check(explain(capsys, "--layer", "a"), UnsupportedError, "Det")


@pytest.mark.parametrize("name", ["customvision_plankton", "winml_squeezenet_dao_fp16"])
@pytest.mark.parametrize("command", ["inspect", "explain"])
def test_models_that_onnxruntime_refuses(
    name: str, command: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared_path("models", "refused", f"{name}.onnx")
    ran = run(capsys, command, path, *(["a.png"] if command == "explain" else []))
    check(ran, ModelError, "export the model again")


# Layers, scores, targets


def test_a_layer_with_a_typo(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = explain(capsys, "--layer", "polled")
    check(ran, NameNotFoundError, "'polled'; did you mean pooled", "onnxcam inspect")


@pytest.mark.parametrize("layer", ["-2", "1", "99999999999999999999", "--2", "²"])
def test_a_layer_that_is_no_index(layer: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, f"--layer={layer}"), NameNotFoundError, "onnxcam inspect")


def test_a_score_with_a_typo(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, "--score", "logit"), NameNotFoundError, "did you mean logits")


def test_a_layer_that_the_score_does_not_depend_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y, float[n, 4, 8, 8] z) {
        c = Conv <pads = [1, 1, 1, 1]> (x, w) p = GlobalAveragePool (c) y = Flatten (p) z = Relu (c)
    }"""
    save(model(text, {"w": floats(4, 3, 3, 3)}), Path("m.onnx"))
    check(explain(capsys, "--layer", "z", "-p", "unit"), DependencyError, "'z'", "choose a layer on the way")


def test_a_layer_behind_which_no_gradient_flows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) {
        c = Conv (x, w) r = Round (c) p = GlobalAveragePool (r) y = Flatten (p)
    }"""
    save(model(text, {"w": floats(4, 3, 3, 3)}), Path("m.onnx"))
    check(explain(capsys, "--layer", "c"), DependencyError, "no gradient flows through Round", "eigen-cam")


@pytest.mark.parametrize("target", ["3", "-1", "9223372036854775808"])
def test_a_target_out_of_range(target: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(
        explain(capsys, f"--target={target}"), TargetError, f"class {target} does not exist" if len(target) < 3 else ""
    )


def test_a_target_out_of_range_where_the_file_does_not_tell_the_classes(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = colour_model(metadata=False)
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "channels"
    save(proto, Path("m.onnx"))
    check(explain(capsys, "--target=7", "-p", "unit"), TargetError, "the model has 3 classes")


def test_a_label_that_does_not_exist(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, "--target", "blu"), NameNotFoundError, "did you mean blue")


def test_a_label_where_there_are_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(colour_model(metadata=False), Path("m.onnx"))
    check(explain(capsys, "--target", "blue", "-p", "unit"), TargetError, "give --labels or an index")


def test_a_map_of_one_place(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, "--layer", "pooled"), UnsupportedError, "one place only", "choose an earlier layer")
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) { c = Conv (x, w) y = Flatten (c) }"""
    save(model(text, {"w": floats(4, 3, 8, 8)}), Path("m.onnx"))
    check(explain(capsys), UnsupportedError, "no layer with spatial extent")


def test_a_score_of_unknown_axes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "g (float[n, 3, 8, 8] x) => (float[n, 4, 6, 5] y) { c = Conv (x, w) y = MatMul (c, v) }"
    save(model(text, {"w": floats(4, 3, 3, 3), "v": floats(6, 5)}), Path("m.onnx"))
    check(explain(capsys, "-p", "unit"), TargetError, "unknown axes")


# Images


@pytest.mark.parametrize("content", [b"", b"no image\n", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "signature"])
def test_a_file_that_is_no_image(content: bytes, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.png").write_bytes(content)
    check(explain(capsys), ImageError, "a.png")


def test_a_truncated_image(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "a.jpg", "a.bmp"):
        whole = draw(Path(name), size=(64, 64)).read_bytes()
        Path(name).write_bytes(whole[: len(whole) * 2 // 3])
        check(explain(capsys, image=name), ImageError, name)


def test_bad_images_among_good_ones(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one batch one file is cut, one is text, one is missing: the others are explained."""
    for name in ("b.png", "c.png", "d.png"):
        draw(Path(name), "blue")
    Path("b.png").write_bytes(Path("b.png").read_bytes()[:50])
    Path("c.png").write_text("text")
    ran = run(capsys, "explain", "m.onnx", "a.png", "b.png", "c.png", "gone.png", "d.png", "--quiet")
    assert [line.split(" ->")[0] for line in ran.out.splitlines()] == ["a.png: red 78.7%", "d.png: blue 78.7%"]
    assert sorted(line.split(":")[2].strip() for line in ran.err.splitlines()) == ["b.png", "c.png", "gone.png"]
    assert ran.code == ImageError.exit_code


def test_an_image_too_small_for_an_open_model(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """g (float[n, 3, h, w] x) => (float[n, 4] y) {
        c = Conv (x, k) p = GlobalAveragePool (c) y = Flatten (p)
    }"""
    save(model(text, {"k": floats(4, 3, 40, 40)}), Path("m.onnx"))
    draw(Path("b.png"), size=(96, 96))
    ran = run(capsys, "explain", "m.onnx", "a.png", "b.png", "-p", "unit", "-q")
    assert ran.code in {0, ImageError.exit_code}
    assert "b.png: class" in ran.out
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("images", [["nothing/"], ["*.jpg"], ["gone.png"]])
def test_nothing_to_explain(images: list[str], place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("nothing").mkdir()
    check(run(capsys, "explain", "m.onnx", *images), ImageError, images[0].rstrip("/"))


def test_no_images_given(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, "explain", "m.onnx")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "onnxcam: error: give at least one image: a file, a folder or a pattern (onnxcam explain --help)\n"
    )


def test_a_model_of_four_channels(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "g (float[n, 4, 8, 8] x) => (float[n, 3] y) { c = Conv (x, w) p = GlobalAveragePool (c) y = Flatten (p) }"
    save(model(text, {"w": floats(3, 4, 3, 3)}), Path("m.onnx"))
    check(explain(capsys), ImageError, "4 channels", "a photograph has 1 or 3")


def test_a_model_that_takes_no_photograph(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "g (float[n, 3, 8] x) => (float[n, 3] y) { c = Conv (x, w) p = GlobalAveragePool (c) y = Flatten (p) }"
    save(model(text, {"w": floats(3, 3, 3)}), Path("m.onnx"))
    check(explain(capsys), UnsupportedError, "takes no photograph")


# Options


def test_an_unknown_method(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, "--method", "hirescam"), NameNotFoundError, "did you mean hires-cam", "onnxcam methods")


@pytest.mark.parametrize(
    ("method", "field", "said"),
    [
        ("hires-cam", "seed=1", "no field seed"),
        ("random-cam", "sed=1", "it has seed"),
        ("random-cam", "seed=one", "it must be of type int"),
        ("gradient", "reduce=mean", "'max-abs' or 'sum'"),
    ],
)
def test_a_field_that_does_not_fit(
    method: str, field: str, said: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(explain(capsys, "--method", method, "--set", field), InputError, said)


def test_an_unknown_provider(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, "--provider", "cpuu"), ProviderError, "did you mean cpu")


def test_an_unknown_preprocessing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, "-p", "imagnet"), NameNotFoundError, "did you mean imagenet?")
    check(explain(capsys, "-p", "{"), InputError, "not valid JSON")
    check(explain(capsys, "-p", "gone.json"), InputError, "gone.json cannot be read")


@pytest.mark.parametrize(
    ("names", "said"), [("a\nb\nc\nd", "4 labels for a model of 3"), ("a\nb", "2 labels for"), ("", "holds no names")]
)
def test_labels_of_another_length(names: str, said: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("names.txt").write_text(names)
    check(explain(capsys, "--labels", "names.txt"), InputError, said)


def test_an_out_folder_that_is_a_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").write_text("")
    check(explain(capsys, "--out", "out"), InputError, "folder out cannot be made", "choose another")
    check(explain(capsys, "--out", "out/deeper"), InputError, "choose another")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_an_out_folder_that_is_not_writable(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir(mode=0o500)
    check(explain(capsys, "--out", "out", "-q"), InputError, "cannot be written")


def test_metadata_that_is_nonsense(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = colour_model(metadata=False)
    for key, error in (("onnxcam.labels", ModelError), ("onnxcam.preprocess", InputError)):
        helper.set_model_props(proto, {key: "/etc/passwd"})
        save(proto, Path("m.onnx"))
        check(explain(capsys), error, key)


def test_a_batch_that_is_open_at_the_input_only(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exporters leave a Reshape to [1, -1] behind: such images run one by one, and none of them fails."""
    text = """g (float[n, 3, 8, 8] x) => (float[1, 3] y) {
        c = Conv (x, w) p = GlobalAveragePool (c) y = Reshape (p, s)
    }"""
    weights = {"w": floats(3, 3, 3, 3), "s": np.array([1, 3])}
    save(model(text, weights), Path("m.onnx"))
    draw(Path("b.png"), "blue")
    ran = run(capsys, "explain", "m.onnx", "a.png", "b.png", "-p", "unit", "-q")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.out.splitlines()) == 2
    alone = explain(capsys, "-p", "unit", "-q", image="b.png")
    assert alone.out == ran.out.splitlines()[1] + "\n"


# What native code would print by itself, seen from outside


def outside(*arguments: object) -> Ran:
    command = [sys.executable, "-m", "onnxcam", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "rocm"])
def test_a_provider_that_does_not_load(provider: str, place: Path) -> None:
    """The build may list it: that it cannot load here is an error, never a run on the CPU."""
    if provider == "cuda" and has_cuda_driver():
        pytest.skip("CUDA may load on this machine")
    ran = outside("explain", "m.onnx", "a.png", "--provider", provider)
    listed = any(name.lower().startswith(provider) for name in available() if name != CPU)
    check(ran, ProviderError, "does not load on this machine" if listed else "not in this build")
    assert not Path("onnxcam-out").exists()


def test_a_model_that_onnxruntime_rejects(place: Path) -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 3] y) {
        d = Add (x, double) c = Conv (d, w) p = GlobalAveragePool (c) y = Flatten (p)
    }"""
    save(model(text, {"w": floats(3, 3, 3, 3), "double": np.ones(1)}), Path("m.onnx"))
    check(outside("explain", "m.onnx", "a.png", "-p", "unit"), ModelError, "onnxruntime rejects the model")


def test_an_operator_that_fails_while_it_runs(place: Path) -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 3] y) {
        c = Conv (x, w) p = GlobalAveragePool (c) f = Reshape (p, s) y = Identity (f)
    }"""
    save(model(text, {"w": floats(3, 3, 3, 3), "s": np.array([0, 7])}), Path("m.onnx"))
    check(outside("explain", "m.onnx", "a.png", "-p", "unit"), ProviderError)


def test_refused_models_from_outside(place: Path) -> None:
    for path in sorted(shared_path("models", "refused").glob("*.onnx")):
        check(outside("explain", path, "a.png"), ModelError)
