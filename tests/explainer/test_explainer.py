from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from PIL import Image

import onnxcam
from onnxcam.errors import DependencyError, InputError, OnnxcamWarning, UnsupportedError
from onnxcam.runtime.session import Session
from tests.helpers.explained import on_one_layer, pooled
from tests.helpers.models import classifier, floats, model


def _session(explainer: onnxcam.Explainer) -> Session:
    assert isinstance(explainer.session, Session)
    return explainer.session


def _by_hand(x: npt.NDArray[np.float32], target: int) -> npt.NDArray[np.float64]:
    """HiResCAM of the small classifier: its head is one linear layer, so gradients are its weights."""
    proto = classifier()
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor).astype(np.float64) for tensor in proto.graph.initializer}
    explainer = onnxcam.Explainer(proto, "random-cam", providers=["cpu"])
    a = _session(explainer).run({"x": x})["a2"].astype(np.float64)
    return np.asarray((weights["w3"][target].reshape(6, 4, 4) * a).sum(axis=1))


def test_raw_maps_are_the_formula() -> None:
    x = floats(3, 3, 8, 8)
    result = onnxcam.Explainer(classifier(ending="y = Softmax(logits)"), providers=["cpu"])(x, targets=2)
    np.testing.assert_allclose(result.raw, _by_hand(x, 2), rtol=1e-4, atol=1e-5)
    assert result.maps.shape == (3, 8, 8)
    assert result.maps.dtype == np.float32
    assert result.maps.min() >= 0
    assert result.maps.max() == 1
    assert (result.layer, result.score, result.provider) == ("a2", "logits", "CPUExecutionProvider")


def test_hires_cam_and_bias_sum_to_the_score_of_a_linear_head() -> None:
    result = onnxcam.Explainer(classifier())(floats(3, 3, 8, 8), targets=[0, 3, 4])
    bias = floats(5, seed=4)
    for row, target in enumerate((0, 3, 4)):
        assert result.raw[row].sum() + bias[target] == pytest.approx(result.scores[row, target], rel=1e-4)


def test_none_means_the_predicted_class() -> None:
    explainer, x = onnxcam.Explainer(classifier(ending="y = Softmax(logits)")), floats(4, 3, 8, 8)
    result = explainer(x)
    np.testing.assert_array_equal(result.targets, result.scores.argmax(axis=1))
    np.testing.assert_array_equal(result.raw, explainer(x, targets=result.targets).raw)
    assert result.activation == "softmax"


def test_methods_that_need_no_gradient_write_none() -> None:
    assert _session(onnxcam.Explainer(classifier(), "eigen-cam")).outputs == ["y", "a2"]
    assert _session(onnxcam.Explainer(classifier(), "hires-cam")).outputs == ["y", "a2", "grad/a2"]


def test_input_methods_explain_at_the_input() -> None:
    x = floats(2, 3, 8, 8)
    result = onnxcam.Explainer(classifier(), "gradient-x-input")(x, targets=1)
    assert (result.layer, result.raw.shape) == ("x", (2, 8, 8))
    with pytest.raises(UnsupportedError, match="leave the layer out"):
        onnxcam.Explainer(classifier(), "gradient", layer="a1")


def test_cam_needs_its_head() -> None:
    x = floats(2, 3, 8, 8)
    cam, grad_cam = (onnxcam.Explainer(pooled(), on_one_layer(name))(x).raw for name in ("cam", "grad-cam"))
    np.testing.assert_allclose(cam, grad_cam * 64, rtol=1e-4, atol=1e-5)
    with pytest.raises(UnsupportedError, match="hires-cam or grad-cam"):
        onnxcam.Explainer(classifier(), "cam")


def test_two_inputs_go_by_name() -> None:
    proto = model(
        """g (float[n, 3, 8, 8] x, float[n, 4] t) => (float[n, 5] y) {
            a = Conv(x, w)  p = GlobalAveragePool(a)  f = Flatten(p)  s = Add(f, t)  y = Gemm <transB = 1> (s, v)
        }""",
        {"w": floats(4, 3, 3, 3), "v": floats(5, 4)},
    )
    explainer = onnxcam.Explainer(proto)
    assert explainer({"x": floats(2, 3, 8, 8), "t": floats(2, 4)}).maps.shape == (2, 8, 8)
    with pytest.raises(InputError, match="dictionary"):
        explainer(floats(2, 3, 8, 8))
    with pytest.raises(InputError, match="same number of samples"):
        explainer({"x": floats(2, 3, 8, 8), "t": floats(3, 4)})


def test_a_layer_that_the_score_ignores_is_refused() -> None:
    proto = classifier(ending="y = Identity(logits)")
    proto.graph.node.append(onnx.helper.make_node("Relu", ["c1"], ["aside"]))
    proto.graph.output.append(onnx.helper.make_tensor_value_info("aside", 1, ["n", 4, 8, 8]))
    with pytest.raises(DependencyError, match="does not depend"):
        onnxcam.Explainer(proto, layer="aside")(floats(1, 3, 8, 8))


def test_blank_maps_come_with_a_warning() -> None:
    proto = classifier()
    for tensor in proto.graph.initializer:
        if tensor.name == "w3":
            array = -np.abs(onnx.numpy_helper.to_array(tensor))
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, "w3"))
    result = onnxcam.Explainer(proto)(floats(1, 3, 8, 8), targets=0)
    assert result.maps.max() == 0
    assert len(result.warnings[0]) == 1


def test_photographs_end_to_end(tmp_path: Path) -> None:
    Image.fromarray(np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)).save(tmp_path / "photo.png")
    with pytest.warns(OnnxcamWarning, match="assumed imagenet"):
        result = onnxcam.explain(classifier(), tmp_path / "photo.png")
    assert result.maps.shape == (1, 8, 8)
    saved = result.save(tmp_path / "out")[0]
    record = json.loads(saved.record.read_text())
    assert record["layer"] == "a2"
    assert record["provenance"]["preprocessing"]["channels"] == "RGB"
    again = onnxcam.explain(classifier(), tmp_path / "photo.png", preprocess="imagenet")
    np.testing.assert_array_equal(np.load(saved.raw), again.raw[0])


def test_differentiate_adds_outputs_in_order() -> None:
    graph = onnxcam.differentiate(classifier(ending="y = Softmax(logits)"), "logits", ["a1", "a2"], seed="class")
    assert [value.name for value in graph.graph.output] == ["y", "a1", "grad/a1", "a2", "grad/a2"]
    assert [value.name for value in graph.graph.input] == ["x", "class_index"]
    onnx.checker.check_model(graph, full_check=True)


def test_every_public_name_is_there() -> None:
    assert all(getattr(onnxcam, name) is not None for name in onnxcam.__all__)
    assert dir(onnxcam) == sorted(onnxcam.__all__)
    with pytest.raises(AttributeError):
        _ = onnxcam.nothing


def test_no_photographs_are_refused() -> None:
    with pytest.raises(InputError, match="there are no photographs to explain; give at least one"):
        onnxcam.Explainer(classifier()).explain([])
