"""Quantised files that other people exported: on real photographs, and beside the float networks they come from."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onnxcam
from onnxcam.graph.analysis.inputs import image_input
from onnxcam.methods.formulas.smooth_grad import SmoothGrad
from tests.helpers import fake_quantized
from tests.helpers.checks import OnnxRuntime
from tests.helpers.shared import shared_path
from tests.models.test_real import explainer, photographs
from tools.disturbed import steadied
from tools.twins import LEAST_COSINE, SIGMA, compare, pairs

MODELS = {
    "shufflenet_v2_qlinear_int8": "float32",
    "mobilenet_v1_tf_qdq_uint8": "uint8",
    "mobilenet_v2_torch_dynamo_dynquant": "float32",
    "resnet8_cifar10_tflite_int8": "int8",
    "person_tflite_int8": "int8",
}
# Mean over photographs: rank correlation of HiResCAM's maps, cosine of input gradients at the photographs themselves.
# The second is what is left of 0.85 at one point of a staircase, whose ReLUs switch elsewhere: see autodiff/README.md.
ALIKE = {
    "mobilenet_v2_torch_dynamo_dynquant": (0.95, 0.72),
    "resnet8_cifar10_tflite_int8": (0.95, 0.85),
    "person_tflite_int8": (0.9, 0.75),
}

# Cosine with torch's gradient in float64. In float32 a few numbers halfway between two integers are rounded to the
# other one, and each of them moves ReLUs in all later layers: 28 of them in the last network.
FAKE_QUANTISED = {
    "resnet8_cifar10_tflite_int8": 0.9999,
    "person_tflite_int8": 0.999,
    "mobilenet_v1_tf_qdq_uint8": 0.97,
}


@pytest.mark.parametrize("method", ["hires-cam", "grad-cam", "gradient", "gradient-x-input"])
@pytest.mark.parametrize("name", MODELS)
def test_a_map_for_every_photograph(name: str, method: str) -> None:
    made = explainer(name, method)
    assert image_input(made.network.model.graph).dtype == MODELS[name]
    photos = [made.read(path) for path in photographs(name)]
    result = made.explain(photos)
    assert result.maps.shape == (3, *made.image.extent)
    assert np.isfinite(result.raw).all()
    assert not any(result.warnings), result.warnings
    assert (result.maps.max(axis=(1, 2)) == 1).all()
    alone = made.explain(photos[1:2])
    # Each photograph is explained as if it were alone, also where a scale is computed from all that is run together.
    np.testing.assert_allclose(result.raw[1], alone.raw[0], atol=1e-4 * np.abs(alone.raw).max())


@pytest.mark.parametrize("name", ["person_tflite_int8", "shufflenet_v2_qlinear_int8"])
def test_a_quantised_layer_is_explained_in_real_numbers(name: str) -> None:
    """The map at an integer value is the map at the real value that the file itself makes of it."""
    real = explainer(name, "hires-cam")
    producer = next(node for node in real.network.model.graph if node.outputs[0].name == real.layer.name)
    assert producer.op_type == "DequantizeLinear"
    assert producer.inputs[0] is not None
    quantised = str(producer.inputs[0].name)
    integer = explainer(name, "hires-cam", layer=quantised)
    photos = [real.read(path) for path in photographs(name)]
    maps, same = real.explain(photos), integer.explain(photos)
    assert integer.layer.name == f"{quantised}/real"
    np.testing.assert_allclose(same.scores, maps.scores, atol=1e-5 * np.abs(maps.scores).max())
    np.testing.assert_allclose(same.raw, maps.raw, atol=1e-4 * np.abs(maps.raw).max())


@pytest.mark.parametrize(("name", "least"), FAKE_QUANTISED.items())
def test_the_gradient_is_that_of_fake_quantisation(name: str, least: float) -> None:
    """Down to the integer input it equals torch's through the same network, rounding passed straight through.

    onnxruntime optimises nothing here: its fused integer kernels round a few other numbers up.
    """
    made = explainer(name, "gradient")
    path = shared_path("models", f"{name}.onnx")
    model, x = onnx.load(path), made.read(photographs(name)[1]).array
    score, entry = made.network.score.name, str(model.graph.input[0].name)
    scores, wanted = fake_quantized.gradient(model, x, score)
    run = OnnxRuntime(onnxcam.differentiate(path, of=score, wrt=[entry], seed="class"), optimize=False)
    found = run({entry: x, "class_index": np.array([scores.argmax()])})[f"grad/{entry}"]
    cosine = np.vdot(found, wanted) / (np.linalg.norm(found) * np.linalg.norm(wanted))
    assert found.shape == wanted.shape == x.shape
    assert cosine >= least
    assert 0.98 < np.linalg.norm(found) / np.linalg.norm(wanted) < 1.02


def test_the_twins_are_those_of_this_file() -> None:
    assert {name for name, _ in pairs(shared_path("models", "models.json").parent)} == set(ALIKE)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name.startswith("mobilenet") else ()) for name in ALIKE]
)
def test_twins_explain_alike(name: str) -> None:
    shared = shared_path("models", "models.json").parents[1]
    like = compare(name, dict(pairs(shared / "models"))[name], shared, count=12)
    maps, gradients = ALIKE[name]
    assert like.agree.mean() >= 0.9
    assert like.maps.mean() >= maps
    assert like.gradients.mean() >= gradients
    assert like.steadied.mean() >= LEAST_COSINE
    if name.startswith("mobilenet"):
        # The twin has the very weights of the quantised file: what is left is rounding alone.
        assert like.gradients.mean() >= like.rounded.mean() - 0.02


@pytest.mark.parametrize("name", ["resnet8_cifar10_tflite_int8", "mobilenet_v1_tf_qdq_uint8"])
def test_the_mean_over_noisy_copies_is_that_of_smooth_grad(name: str) -> None:
    made, point = explainer(name, SmoothGrad(n=3, sigma=SIGMA)), explainer(name, "gradient")
    photos = [made.read(path) for path in photographs(name)]
    result = made.explain(photos)
    images = np.concatenate([photo.array for photo in photos])
    mean = steadied(point, images, np.array(result.targets), 3, SIGMA)
    np.testing.assert_allclose(np.abs(mean).max(axis=1), result.raw, atol=1e-4 * np.abs(result.raw).max())
