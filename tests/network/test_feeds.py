"""Inputs beside the image: those with a row for each sample, and those that all samples share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from tests.helpers.torch_shim import torchvision  # isort: skip  # onnx2torch imports it

import onnxcam
from onnxcam.diagnostics.verification import verify
from onnxcam.errors import InputError
from onnxcam.graph.analysis.batch import batch_size, mixes_samples
from onnxcam.graph.analysis.inputs import model_inputs
from onnxcam.graph.io.load import load
from onnxcam.methods.registry import methods
from onnxcam.network.random_inputs import random_inputs
from onnxcam.network.read import read_network
from tests.helpers.commands import draw, run, save
from tests.helpers.models import floats, model

assert torchvision is not None

# As many as there are samples, channels and classes: what takes an axis of numbers for one of samples shows.
COUNT = 3
SHARED: dict[str, npt.NDArray[Any]] = {
    "factor": np.array(1.5, np.float32),
    "scale": floats(COUNT, seed=5),
    "share": np.abs(floats(COUNT, seed=6)),
}
ROWS: dict[str, npt.NDArray[Any]] = {"x": floats(COUNT, 3, 8, 8, seed=7), "bias": floats(COUNT, 3, seed=8)}
# ``cam`` needs a head that reads nothing beside the layer.
METHODS = [name for name, cls in methods().items() if cls().needs.reads != "attentions" and name != "cam"]


def _network(batch: str = "n", fixed: Sequence[str] = ()) -> onnx.ModelProto:
    """Return a classifier that scales its image and its layer by what it is fed; some of that may be weights."""
    declared = {"factor": "float factor", "scale": "float[3] scale", "share": "float[3] share"}
    inputs = ", ".join(text for name, text in declared.items() if name not in fixed)
    weights: dict[str, Any] = {"w": floats(3, 3, 3, 3) / 3, "v": floats(3, 3, seed=2), "four": np.array([1, 3, 1, 1])}
    return model(
        f"""g (float[{batch}, 3, 8, 8] x, float[{batch}, 3] bias{", " + inputs if inputs else ""})
            => (float[{batch}, 3] y) {{
            by = Reshape(scale, four)
            scaled = Mul(x, by)
            image = Mul(scaled, factor)
            c = Conv <pads = [1, 1, 1, 1]> (image, w)
            a = Relu(c)
            shares = Relu(share)
            again = Reshape(shares, four)
            b = Mul(a, again)
            p = GlobalAveragePool(b)
            f = Flatten(p)
            z = MatMul(f, v)
            y = Add(z, bias)
        }}""",
        weights | {name: np.asarray(SHARED[name]) for name in fixed},
    )


def _method(name: str) -> onnxcam.Method:
    return onnxcam.method(name, **({"layers": (-1,)} if name == "refine-cam" else {}))


def test_an_input_of_a_size_of_its_own_is_shared() -> None:
    for batch in ("n", "1", "2"):
        inputs = {entry.name: entry for entry in model_inputs(load(_network(batch)).ir.graph)}
        assert {name for name, entry in inputs.items() if not entry.batched} == set(SHARED)
        assert batch_size(load(_network(batch)).ir.graph) == (None if batch == "n" else int(batch))
        made = random_inputs(list(inputs.values()), 2)
        assert {name: array.shape for name, array in made.items()} == {
            "x": (2, 3, 8, 8),
            "bias": (2, 3),
            "factor": (),
            "scale": (3,),
            "share": (3,),
        }


@pytest.mark.parametrize("name", METHODS)
def test_a_shared_input_is_as_good_as_a_weight(name: str) -> None:
    """The runs of two samples, and a batch that the file fixes at 1, change nothing either."""
    wanted = onnxcam.Explainer(_network(fixed=list(SHARED)), _method(name), batch_size=8)(ROWS, targets=1)
    for batch in ("n", "1", "2"):
        found = onnxcam.Explainer(_network(batch), _method(name), batch_size=2)({**SHARED, **ROWS}, targets=1)
        np.testing.assert_allclose(found.raw, wanted.raw, rtol=1e-3, atol=1e-4 * np.abs(wanted.raw).max())
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["ablation-cam", "shapley-cam", "lift-cam", "recipro-cam", "grad-cam"])
def test_what_is_made_of_shared_inputs_crosses_into_the_head(name: str) -> None:
    several = [[0, 1], [2, 1], [0, 2]]
    wanted = onnxcam.Explainer(_network(fixed=list(SHARED)), name, "a")(ROWS, targets=several)
    found = onnxcam.Explainer(_network(), name, "a", batch_size=2)({**SHARED, **ROWS}, targets=several)
    np.testing.assert_allclose(found.raw, wanted.raw, rtol=1e-3, atol=1e-4 * np.abs(wanted.raw).max())


def test_torch_and_differences_agree_where_inputs_are_shared() -> None:
    for batch in ("n", "1"):
        found = verify(read_network(_network(batch)), "a", {**SHARED, **ROWS}, against="torch")
        assert found.agrees
        assert sum(row.verdict == "agrees" for row in found.rows) == 15
        skipped = [row.at for row in found.rows if row.verdict == "skipped"]
        assert skipped == ["input 'factor'", "input 'scale'", "input 'share'"]


def test_a_branch_chosen_by_a_shared_input_mixes_no_samples() -> None:
    text = """g (float[n, 3, 8, 8] x, bool[1] flag) => (float[n, 3, 8, 8] y) {{
        y = If ({}) <then_branch = t () => (float[n, 3, 8, 8] p) {{ p = Neg (x) }},
            else_branch = e () => (float[n, 3, 8, 8] q) {{ q = Relu (x) }}>
    }}"""
    assert not mixes_samples(load(model(text.format("flag"))).ir.graph)


def test_what_is_missing_or_unknown_is_reported_in_one_line() -> None:
    explainer = onnxcam.Explainer(_network())
    with pytest.raises(
        InputError, match=r"inputs 'factor' \(float32, a single number\) and 'share'.*--input"
    ) as caught:
        explainer({**ROWS, "scale": SHARED["scale"]})
    assert "class_index" not in str(caught.value)
    with pytest.raises(InputError, match="no input 'scales'; did you mean scale"):
        explainer({**ROWS, **SHARED, "scales": SHARED["scale"]})
    with pytest.raises(InputError, match=r"same number of samples.*'bias' has shape"):
        explainer({**ROWS, **SHARED, "bias": ROWS["bias"][:2]})
    with pytest.raises(InputError, match="'factor' takes a single number, not 3"):
        explainer({**ROWS, **SHARED, "factor": SHARED["scale"]})


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save(_network(), Path("m.onnx"))
    for name, colour in (("0", "red"), ("1", "green"), ("2", "blue")):
        draw(Path(f"{name}.png"), colour)
    for name, array in {**SHARED, **ROWS}.items():
        np.save(f"{name}.npy", array)
    return tmp_path


def _given(**files: str) -> list[str]:
    files = {"factor": "factor.npy", "scale": "scale.npy", "share": "share.npy", "bias": "bias.npy", **files}
    return [f"--input={name}={file}" for name, file in files.items()]


def test_files_of_numbers_go_with_images(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explainer = onnxcam.Explainer("m.onnx", preprocess="unit")
    photos = [explainer.read(f"{row}.png") for row in range(COUNT)]
    whole = {**SHARED, "x": np.concatenate([photo.array for photo in photos])}
    np.save("one.npy", ROWS["bias"][1])
    for file, bias in (("bias.npy", ROWS["bias"]), ("one.npy", np.repeat(ROWS["bias"][1:2], COUNT, axis=0))):
        ran = run(capsys, "explain", "m.onnx", ".", "-p", "unit", "--batch", "2", "--json", *_given(bias=file))
        assert ran.code == 0, ran.err
        wanted = explainer({**whole, "bias": bias})
        maps = sorted(Path("onnxcam-out").glob("*.npy"))
        assert len(maps) == COUNT
        for path, raw in zip(maps, wanted.raw, strict=True):
            np.testing.assert_allclose(np.load(path), raw, rtol=1e-4, atol=1e-6)
            path.unlink()


def test_bad_files_of_numbers_are_reported_in_one_line(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.npy").write_text("no numbers")
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    np.save("two.npy", ROWS["bias"][:2])
    np.savez("several.npz", x=ROWS["x"], bias=ROWS["bias"])
    for given, said in (
        (_given()[1:], "nothing is given for input 'factor' (float32, a single number) of the model"),
        (_given(bias="none.npy"), "none.npy: cannot be read"),
        (_given(bias="text.npy"), "text.npy: not a NumPy file of numbers"),
        (_given(bias="objects.npy"), "objects.npy: not a NumPy file of numbers"),
        (_given(bias="several.npz"), "several.npz: holds several arrays"),
        (_given(bias="two.npy"), "one row for all 3 images, or a row for each"),
        (_given(scale="factor.npy"), "input 'scale' takes shape 3, not a single number"),
        ([*_given(), "--input=x=x.npy"], "input 'x' is the image"),
        ([*_given(), "--input=z=x.npy"], "no input 'z'"),
    ):
        ran = run(capsys, "explain", "m.onnx", ".", "-p", "unit", "-q", *given)
        assert (ran.code, ran.out) == (InputError.exit_code, ""), said
        assert ran.err.startswith("onnxcam: error: ")
        assert said in ran.err
        assert ran.err.count("\n") == 1
    for given in (["--input", "bias"], [*_given(), "--input=bias=bias.npy"]):
        assert run(capsys, "explain", "m.onnx", ".", *given).code == 2
