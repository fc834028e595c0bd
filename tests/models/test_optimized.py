"""Files that onnxruntime's optimiser has saved explain like the files they were made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxcam
from onnxcam.graph.analysis.quantization import MICROSOFT
from tests.helpers.shared import shared_path

# What the optimiser is known to fuse in each: so that the comparison is not between two equal files.
MODELS = {
    "mobilenet_v2_torch_dynamo_fp32": {"FusedConv"},
    "vit_cifar10_fp32": {"FusedMatMul"},
    "vittracker_two_inputs": {"FusedConv", "FusedMatMul", "Gelu", "SkipLayerNormalization"},
}
Arrays = dict[str, np.ndarray]


def optimized(path: Path, folder: Path) -> Path:
    """Return the file that onnxruntime writes with its extended optimisations."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return folder / "optimized.onnx"


def run(model: onnx.ModelProto | Path, feeds: Arrays) -> Arrays:
    data = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_gradients_and_scores_stay(name: str, tmp_path: Path) -> None:
    path = shared_path("models", f"{name}.onnx")
    fused = optimized(path, tmp_path)
    assert {node.op_type for node in onnx.load(fused).graph.node if node.domain == MICROSOFT} >= MODELS[name]
    rng = np.random.default_rng(0)
    inputs = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_inputs()
    feeds = {
        i.name: rng.standard_normal([d if isinstance(d, int) else 2 for d in i.shape]).astype(np.float32)
        for i in inputs
    }
    plain = run(path, feeds)
    score = next(iter(plain))
    cotangent = rng.standard_normal(plain[score].shape).astype(np.float32)
    gradient = f"grad/{inputs[0].name}"
    found = [
        run(onnxcam.differentiate(file, of=score, wrt=[inputs[0].name]), feeds | {"cotangent": cotangent})
        for file in (path, fused)
    ]
    for key, tolerance in ((score, 1e-6), (gradient, 1e-5)):
        gap = np.linalg.norm(found[1][key] - found[0][key]) / np.linalg.norm(found[0][key])
        assert gap <= tolerance, (key, gap)
    np.testing.assert_allclose(found[1][score], plain[score], atol=1e-5 * np.abs(plain[score]).max())


def test_maps_stay(tmp_path: Path) -> None:
    path = shared_path("models", "mobilenet_v2_torch_dynamo_fp32.onnx")
    explainers = [onnxcam.Explainer(file, preprocess="imagenet") for file in (path, optimized(path, tmp_path))]
    photos = [made.read(shared_path("images", "photos", "both.png")) for made in explainers]
    plain, fused = (made.explain([photo]) for made, photo in zip(explainers, photos, strict=True))
    assert plain.layer == fused.layer
    np.testing.assert_allclose(fused.raw, plain.raw, atol=1e-5 * np.abs(plain.raw).max())


def test_a_network_of_integers_only(tmp_path: Path) -> None:
    """The optimiser leaves no real number in this file; its map is that of the file it was made from."""
    path = shared_path("models", "mobilenet_v1_tf_qdq_uint8.onnx")
    fused = optimized(path, tmp_path)
    kinds = {node.op_type for node in onnx.load(fused).graph.node}
    assert kinds == {"Transpose", "Reshape", "QLinearConv", "QLinearAveragePool", "QLinearSoftmax"}
    made = [onnxcam.Explainer(file, preprocess="none") for file in (path, fused)]
    photo = shared_path("images", "photos", "both.png")
    plain, whole = (each.explain([each.read(photo)], [282]) for each in made)
    assert whole.activation == "softmax"
    assert whole.layer.endswith("/real")
    cosine = np.vdot(plain.raw, whole.raw) / (np.linalg.norm(plain.raw) * np.linalg.norm(whole.raw))
    assert cosine > 0.999
    np.testing.assert_allclose(whole.scores, plain.scores, atol=0.05 * np.abs(plain.scores).max())
