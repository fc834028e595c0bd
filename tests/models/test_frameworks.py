"""Files of Keras, Flax, Paddle and torch exporters: gradients are those that each framework itself computes.

``tools/exporters`` wrote the files and, beside them, what the framework computes in float64.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

import onnxcam
from tests.helpers.checks import OnnxRuntime, relative_error
from tests.helpers.sample import Array
from tools.exporters import shared
from tools.twins import correlation, cosine, ranks

_RTOL = 1e-5
# The trained file is what torch's newer exporter writes.
_SHAPES = ["shapes", "torch_script_shapes", "keras_shapes", "flax_shapes", "paddle_shapes"]
_SMALL = ["keras_small", "flax_small", "paddle_small"]
_INT8 = "int8_shapes"
# Frameworks whose files take channels last.
_AXES = {"keras": "NHWC", "flax": "NHWC"}


def explainer(name: str) -> onnxcam.Explainer:
    path = shared.SHAPES if name == "shapes" else shared.FOLDER / f"{name}.onnx"
    return onnxcam.Explainer(path, providers=["cpu"])


def answers(name: str) -> dict[str, Array]:
    """Return what the framework computes: input, logits, classes and the gradient of their logits."""
    known = "torch_shapes" if name in ("shapes", "torch_script_shapes", _INT8) else name
    with np.load(shared.FOLDER / f"{known}.npz") as file:
        arrays = dict(file)
    if "x" not in arrays:
        x = shared.shapes_input()
        arrays["x"] = x.transpose(0, 2, 3, 1) if name.partition("_")[0] in _AXES else x
    return arrays


def gradient(name: str, count: int = 2) -> tuple[Array, Array]:
    """Return onnxcam's gradient of the stored classes, and the framework's, of the first samples."""
    made, known = explainer(name), {key: array[:count] for key, array in answers(name).items()}
    entry, path = made.image.name, made.network.file.path
    assert path is not None
    graph = onnxcam.differentiate(path, of=made.network.score.name, wrt=[entry], seed="class")
    found = OnnxRuntime(graph)({entry: known["x"], "class_index": known["class_index"]})
    assert found[f"grad/{entry}"].shape == known["gradient"].shape
    return found[f"grad/{entry}"], known["gradient"]


@cache
def photographs(name: str) -> onnxcam.Explanation:
    """Explain the drawings from their files, prepared as the model's metadata says."""
    made = explainer(name)
    return made.explain([made.read(shared.SHAPES.parent / "samples" / f"{one}.png") for one in shared.SAMPLES])


def test_every_stored_file_is_tested() -> None:
    stored = {path.stem for path in shared.FOLDER.glob("*.onnx")}
    assert stored == {*_SHAPES, *_SMALL, _INT8} - {"shapes"}
    assert sum(path.stat().st_size for path in shared.FOLDER.iterdir()) < 4e6


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", [*_SHAPES, *_SMALL])
def test_gradient_is_the_frameworks_own(name: str, count: int) -> None:
    found, wanted = gradient(name, count)
    error = relative_error(found, wanted)
    print(f"{name}, batch {count}: {error:.1e}")
    assert error <= _RTOL
    assert relative_error(found * np.float32(1.001), wanted) > _RTOL


@pytest.mark.parametrize("name", [*_SHAPES, *_SMALL])
def test_scores_and_layer_are_found(name: str) -> None:
    made, known = explainer(name), answers(name)
    result = made(known["x"])
    np.testing.assert_allclose(result.scores, known["logits"], atol=_RTOL * np.abs(known["logits"]).max())
    assert made.network.batch is None
    assert made.image.axes == _AXES.get(name.partition("_")[0], "NCHW")
    assert result.maps.shape == (2, *made.image.extent)
    assert np.isfinite(result.raw).all()
    assert not any(result.warnings), result.warnings


@pytest.mark.parametrize("name", _SHAPES)
def test_a_drawing_is_explained(name: str) -> None:
    result = photographs(name)
    assert result.labels is not None
    assert [result.labels[label] for label in result.targets] == ["star", "cross"]
    assert result.raw.shape == (2, shared.POSITIONS, shared.POSITIONS)
    # HiResCAM adds up to the logit without the bias: after this layer the network is linear.
    logits = result.scores[np.arange(2), result.targets] - shared.shapes().bias[result.targets]
    np.testing.assert_allclose(result.raw.sum(axis=(1, 2)), logits, rtol=1e-4)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(_SHAPES, 2)))
def test_exporters_agree_on_the_map(one: str, other: str) -> None:
    first, second = photographs(one), photographs(other)
    assert np.abs(first.maps - second.maps).max() < 1e-3
    assert np.abs(first.raw - second.raw).max() < 1e-3
    for a, b in zip(first.raw, second.raw, strict=True):
        assert correlation(ranks(a), ranks(b)) > 0.999


def test_int8_explains_alike() -> None:
    made, known = explainer(_INT8), answers(_INT8)
    scores = made(known["x"]).scores
    assert (scores.argmax(axis=1) == known["logits"].argmax(axis=1)).all()
    found, wanted = gradient(_INT8)
    maps = list(zip(photographs(_INT8).raw, photographs("shapes").raw, strict=True))
    values = [correlation(a, b) for a, b in maps]
    orders = [correlation(ranks(a), ranks(b)) for a, b in maps]
    alike = [cosine(a, b) for a, b in zip(found, wanted, strict=True)]
    print(f"int8: correlation of maps {values}, of their ranks {orders}, cosine of input gradients {alike}")
    assert min(values) > 0.999
    assert min(orders) > 0.99
    assert min(alike) > 0.9
