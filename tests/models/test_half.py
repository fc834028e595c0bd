"""A float16 file that other people exported: its forward pass stays as it is, its gradients are those of float32."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

import onnxcam
from tests.helpers.checks import OnnxRuntime
from tests.helpers.shared import shared_path
from tests.models.test_real import explainer, photographs

NAME = "squeezenet_caffe2_fp16"


def in_float32(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same network with the same weights in float32."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    for tensor in twin.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    for value in (*twin.graph.input, *twin.graph.output, *twin.graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return twin


@pytest.mark.parametrize("photo", range(3))
def test_gradients_are_those_of_float32(photo: int) -> None:
    half = onnx.load(shared_path("models", f"{NAME}.onnx"))
    made = explainer(NAME, "hires-cam")
    x = made.read(photographs(NAME)[photo]).array
    score, layer, entry = made.network.score.name, made.layer.name, made.image.name
    found = []
    for model in (half, in_float32(half)):
        graph = onnxcam.differentiate(model, of=score, wrt=[layer, entry], seed="class")
        feeds = {entry: x.astype(np.float16 if model is half else np.float32), "class_index": np.array([281])}
        found.append(OnnxRuntime(graph)(feeds))
    # onnxruntime's CPU kernels work in float32 and round where values cross between nodes, which fusing changes.
    output = half.graph.output[0].name
    plain = OnnxRuntime(half)({entry: x.astype(np.float16)})[output]
    np.testing.assert_allclose(found[0][output], plain, atol=5e-3)
    for name in (layer, entry):
        a, b = (each[f"grad/{name}"] for each in found)
        assert a.dtype == np.float32
        cosine = float(np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))
        assert cosine > 0.99
        assert np.linalg.norm(a) == pytest.approx(np.linalg.norm(b), rel=1e-2)
