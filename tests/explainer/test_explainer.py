from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from PIL import Image

import onnxcam
from onnxcam.errors import (
    DependencyError,
    InputError,
    ModelError,
    NameNotFoundError,
    OnnxcamWarning,
    TargetError,
    UnsupportedError,
)
from onnxcam.methods.registry import methods
from onnxcam.network.open_session import open_session
from onnxcam.network.read import read_network
from onnxcam.runtime.session import Session
from onnxcam.targets.batch import Targets
from tests.helpers.models import classifier, floats, model

# Methods of attention have none to read in these; tests/attribution/test_batch_view.py runs them.
CONVOLUTIONAL = [name for name, cls in methods().items() if cls().needs.reads != "attentions"]
LABELS = ["ant", "bee", "cat, tabby", "dog", "eel"]


def on_one_layer(name: str) -> onnxcam.Method:
    """Return a method that needs no more than the one layer that these networks have."""
    return onnxcam.method(name, **({"layers": (-1,)} if name == "refine-cam" else {}))


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


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_map_does_not_depend_on_the_batch_it_travels_in(name: str) -> None:
    explainer = onnxcam.Explainer(_pooled(), on_one_layer(name), batch_size=2)
    x = floats(5, 3, 8, 8)
    together = explainer(x, targets=1)
    alone = [explainer(x[row : row + 1], targets=1).raw[0] for row in range(5)]
    np.testing.assert_allclose(together.raw, alone, rtol=1e-4, atol=1e-5)


def _pooled(batch: str = "n", body: str = "c = Conv <pads = [1, 1, 1, 1]> (x, w, cb)") -> onnx.ModelProto:
    weights: dict[str, npt.NDArray[Any]] = {"w": floats(4, 3, 3, 3) / 3, "v": floats(5, 4), "b": floats(5)}
    weights |= {"cb": floats(4, seed=5), "scale": floats(4, seed=6), "mean": floats(4, seed=7)}
    weights |= {"var": np.abs(floats(4, seed=8)) + 0.5, "none": np.zeros(4, np.float32)}
    return model(
        f"""pooled (float[{batch}, 3, 8, 8] x) => (float[{batch}, 5] y) {{
            {body}
            a = Relu(c)
            p = GlobalAveragePool(a)
            f = Flatten(p)
            y = Gemm <transB = 1> (f, v, b)
        }}""",
        weights,
    )


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_map_is_unchanged_by_folding_batch_normalisation(name: str) -> None:
    scale, mean, var = floats(4, seed=6), floats(4, seed=7), np.abs(floats(4, seed=8)) + 0.5
    unfolded = _pooled(body="d = Conv <pads = [1, 1, 1, 1]> (x, w)  c = BatchNormalization (d, scale, cb, mean, var)")
    factor = scale / np.sqrt(var + 1e-5)
    folded = _pooled()
    for tensor in folded.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if tensor.name == "w":
            tensor.CopyFrom(onnx.numpy_helper.from_array(array * factor[:, None, None, None], "w"))
        elif tensor.name == "cb":
            tensor.CopyFrom(onnx.numpy_helper.from_array(array - mean * factor, "cb"))
    x = floats(2, 3, 8, 8)
    one, other = (onnxcam.Explainer(proto, on_one_layer(name))(x, targets=3).raw for proto in (unfolded, folded))
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5 * np.abs(other).max())


def test_a_map_is_unchanged_by_folding_constants() -> None:
    computed = classifier(ending="y = Identity(logits)")
    flatten = next(node for node in computed.graph.node if node.op_type == "Flatten")
    flatten.CopyFrom(onnx.helper.make_node("Reshape", ["a2", "target"], ["flat"]))
    computed.graph.node.insert(4, onnx.helper.make_node("Concat", ["zero", "minus"], ["target"], axis=0))
    for name, number in (("zero", 0), ("minus", -1)):
        computed.graph.initializer.append(onnx.numpy_helper.from_array(np.array([number]), name))
    x = floats(2, 3, 8, 8)
    np.testing.assert_array_equal(onnxcam.Explainer(computed)(x).raw, onnxcam.Explainer(classifier())(x).raw)


def test_a_fixed_batch_of_one_is_opened_where_that_is_safe() -> None:
    fixed, free = (onnxcam.Explainer(_pooled(batch=batch)) for batch in ("1", "n"))
    assert fixed.network.batch is None
    x = floats(3, 3, 8, 8)
    np.testing.assert_array_equal(fixed(x).raw, free(x).raw)


def test_a_built_in_batch_of_one_is_explained_image_by_image() -> None:
    # The mean over the batch axis makes samples depend on each other: nothing fails, but two are not twice one.
    body = (
        "m = ReduceMean(x, axis0)  s = Sub(x, m)  z = Mul(m, x)  t = Add(s, z)  c = Conv <pads = [1, 1, 1, 1]> (t, w)"
    )
    proto = _pooled(batch="1", body=body)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "axis0"))
    explainer = onnxcam.Explainer(proto)
    assert explainer.network.batch == 1
    x = floats(3, 3, 8, 8)
    alone = [explainer(x[row : row + 1]).raw[0] for row in range(3)]
    np.testing.assert_array_equal(explainer(x).raw, alone)


@pytest.mark.parametrize("batch", ["1", "n"])
def test_a_score_that_is_one_number_is_computed_for_one_sample_at_a_time(batch: str) -> None:
    body = "c = Conv (x, w)  a = Relu(c)  y = ReduceMean <keepdims = 0> (a)"
    text = f"g (float[{batch}, 3, 8, 8] x) => (float y) {{ {body} }}"
    network = read_network(model(text, {"w": floats(4, 3, 3, 3)}))
    assert network.batch == 1
    session = open_session(network.model, ["cpu"])
    x = floats(2, 3, 8, 8)
    assert session.run_batched({"x": x[:1]}, size=1, fixed=True)["y"].shape == ()
    with pytest.raises(InputError, match="one number for all samples"):
        session.run_batched({"x": x}, size=1, fixed=True)


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
    cam, grad_cam = (onnxcam.Explainer(_pooled(), on_one_layer(name))(x).raw for name in ("cam", "grad-cam"))
    np.testing.assert_allclose(cam, grad_cam * 64, rtol=1e-4, atol=1e-5)
    with pytest.raises(UnsupportedError, match="hires-cam or grad-cam"):
        onnxcam.Explainer(classifier(), "cam")


def test_float16_models_are_explained_like_float32_ones() -> None:
    half = onnx.ModelProto()
    half.CopyFrom(_pooled())
    half.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    half.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    for tensor in half.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    x = floats(2, 3, 8, 8)
    one, other = onnxcam.Explainer(half)(x, targets=1), onnxcam.Explainer(_pooled())(x, targets=1)
    np.testing.assert_allclose(one.raw, other.raw, atol=0.01 * np.abs(other.raw).max())
    assert one.raw.dtype == np.float32


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


@pytest.mark.parametrize(
    ("targets", "expected"), [(3, [3, 3]), ("cat", [2, 2]), (["bee", 4], [1, 4]), (np.array([0, 1]), [0, 1])]
)
def test_targets_go_by_index_or_label(targets: Targets, expected: list[int]) -> None:
    result = onnxcam.Explainer(classifier(), labels=LABELS)(floats(2, 3, 8, 8), targets)
    np.testing.assert_array_equal(result.targets, expected)


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        (5, TargetError, "5 classes, 0 to 4"),
        (-1, TargetError, "count from 0"),
        ([1, 2, 3], TargetError, "3 targets for 2 samples"),
        ("cow", NameNotFoundError, "no label"),
        (1.5, TargetError, "a label or a Target"),
    ],
)
def test_wrong_targets_are_refused(targets: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        onnxcam.Explainer(classifier(), labels=LABELS)(floats(2, 3, 8, 8), targets)  # type: ignore[arg-type]


def test_a_name_without_labels_is_refused() -> None:
    with pytest.raises(TargetError, match="--labels"):
        onnxcam.Explainer(classifier())(floats(1, 3, 8, 8), "cat")


def test_labels_and_preprocessing_come_from_the_metadata() -> None:
    proto = classifier()
    onnx.helper.set_model_props(
        proto,
        {
            "onnxcam.labels": json.dumps(LABELS),
            "onnxcam.preprocess": '{"channels": "RGB", "mean": [0], "std": [1], "scale": 1}',
        },
    )
    explainer = onnxcam.Explainer(proto)
    assert explainer.labels == tuple(LABELS)
    assert explainer.preprocessing[0].scale == 1
    onnx.helper.set_model_props(proto, {"onnxcam.labels": "{"})
    with pytest.raises(ModelError, match="no JSON list"):
        onnxcam.Explainer(proto)


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
