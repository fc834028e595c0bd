"""What users ask wrongly: one line that says what and what to do, an exit code of its own."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from onnxcam.errors import (
    DependencyError,
    InputError,
    ModelError,
    NameNotFoundError,
    OnnxcamError,
    ProviderError,
    TargetError,
    UnsupportedError,
)
from tests.helpers.commands import check, colour_model, draw, explain, run, save
from tests.helpers.models import floats, model


def test_every_error_has_an_exit_code_of_its_own() -> None:
    codes = [cls.exit_code for cls in OnnxcamError.__subclasses__()]
    assert len(set(codes)) == len(codes)
    assert min(codes) > 2


# Layers, scores, targets


def test_a_layer_with_a_typo(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = explain(capsys, "--layer", "polled")
    check(ran, NameNotFoundError, "'polled'; did you mean pooled", "onnxcam inspect")


@pytest.mark.parametrize("layer", ["-2", "1", "99999999999999999999", "--2", "²"])
def test_a_layer_that_is_no_index(layer: str, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, f"--layer={layer}"), NameNotFoundError, "onnxcam inspect")


def test_a_score_with_a_typo(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, "--score", "logit"), NameNotFoundError, "did you mean logits")


def test_a_layer_that_the_score_does_not_depend_on(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y, float[n, 4, 8, 8] z) {
        c = Conv <pads = [1, 1, 1, 1]> (x, w) p = GlobalAveragePool (c) y = Flatten (p) z = Relu (c)
    }"""
    save(model(text, {"w": floats(4, 3, 3, 3)}), Path("m.onnx"))
    check(
        explain(capsys, "--layer", "z", "-p", "unit"),
        DependencyError,
        "'z'",
        "choose a layer that the score depends on",
    )


def test_a_layer_after_which_no_gradient_flows(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) {
        c = Conv (x, w) r = Round (c) p = GlobalAveragePool (r) y = Flatten (p)
    }"""
    save(model(text, {"w": floats(4, 3, 3, 3)}), Path("m.onnx"))
    check(explain(capsys, "--layer", "c"), DependencyError, "no gradient flows through Round", "eigen-cam")


@pytest.mark.parametrize("target", ["3", "-1", "9223372036854775808"])
def test_a_target_out_of_range(target: str, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(
        explain(capsys, f"--target={target}"), TargetError, f"class {target} does not exist" if len(target) < 3 else ""
    )


def test_a_target_out_of_range_where_the_file_does_not_tell_the_classes(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = colour_model(metadata=False)
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "channels"
    save(proto, Path("m.onnx"))
    check(explain(capsys, "--target=7", "-p", "unit"), TargetError, "the model has 3 classes")


def test_a_label_that_does_not_exist(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, "--target", "blu"), NameNotFoundError, "did you mean blue")


def test_a_label_where_there_are_none(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(colour_model(metadata=False), Path("m.onnx"))
    check(explain(capsys, "--target", "blue", "-p", "unit"), TargetError, "give --labels or an index")


def test_a_map_of_one_position(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, "--layer", "pooled"), UnsupportedError, "one position only", "choose an earlier layer")
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) { c = Conv (x, w) y = Flatten (c) }"""
    save(model(text, {"w": floats(4, 3, 8, 8)}), Path("m.onnx"))
    check(explain(capsys), UnsupportedError, "no layer with spatial extent")


def test_a_score_of_unknown_axes(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "g (float[n, 3, 8, 8] x) => (float[n, 4, 6, 5] y) { c = Conv (x, w) y = MatMul (c, v) }"
    save(model(text, {"w": floats(4, 3, 3, 3), "v": floats(6, 5)}), Path("m.onnx"))
    check(explain(capsys, "-p", "unit"), TargetError, "unknown axes")


# Options


def test_an_unknown_method(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    method: str, field: str, said: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(explain(capsys, "--method", method, "--set", field), InputError, said)


def test_an_unknown_provider(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, "--provider", "cpuu"), ProviderError, "did you mean cpu")


def test_an_unknown_preprocessing(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(explain(capsys, "-p", "imagnet"), NameNotFoundError, "did you mean imagenet?")
    check(explain(capsys, "-p", "{"), InputError, "not valid JSON")
    check(explain(capsys, "-p", "gone.json"), InputError, "gone.json cannot be read")


@pytest.mark.parametrize(
    ("names", "said"), [("a\nb\nc\nd", "4 labels for a model of 3"), ("a\nb", "2 labels for"), ("", "holds no names")]
)
def test_labels_of_another_length(names: str, said: str, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("names.txt").write_text(names)
    check(explain(capsys, "--labels", "names.txt"), InputError, said)


def test_an_out_folder_that_is_a_file(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").write_text("")
    check(explain(capsys, "--out", "out"), InputError, "folder out cannot be made", "choose another")
    check(explain(capsys, "--out", "out/deeper"), InputError, "choose another")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_an_out_folder_that_is_not_writable(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir(mode=0o500)
    check(explain(capsys, "--out", "out", "-q"), InputError, "cannot be written")


def test_metadata_that_is_nonsense(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = colour_model(metadata=False)
    for key, error in (("onnxcam.labels", ModelError), ("onnxcam.preprocess", InputError)):
        helper.set_model_props(proto, {key: "/etc/passwd"})
        save(proto, Path("m.onnx"))
        check(explain(capsys), error, key)


def test_a_batch_that_is_open_at_the_input_only(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exporters leave a Reshape to [1, -1] in the graph: such images run one by one, and none of them fails."""
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
