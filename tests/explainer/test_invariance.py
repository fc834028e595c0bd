"""A map does not depend on the batch, on what is folded in the file, nor on the file's precision."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import onnxcam
from onnxcam.errors import InputError
from onnxcam.network.open_session import open_session
from onnxcam.network.read import read_network
from tests.helpers.explained import CONVOLUTIONAL, on_one_layer, pooled
from tests.helpers.models import classifier, floats, model


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_map_does_not_depend_on_the_batch_it_travels_in(name: str) -> None:
    explainer = onnxcam.Explainer(pooled(), on_one_layer(name), batch_size=2)
    x = floats(5, 3, 8, 8)
    together = explainer(x, targets=1)
    alone = [explainer(x[row : row + 1], targets=1).raw[0] for row in range(5)]
    np.testing.assert_allclose(together.raw, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_map_is_unchanged_by_folding_batch_normalisation(name: str) -> None:
    scale, mean, var = floats(4, seed=6), floats(4, seed=7), np.abs(floats(4, seed=8)) + 0.5
    unfolded = pooled(body="d = Conv <pads = [1, 1, 1, 1]> (x, w)  c = BatchNormalization (d, scale, cb, mean, var)")
    factor = scale / np.sqrt(var + 1e-5)
    folded = pooled()
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
    fixed, free = (onnxcam.Explainer(pooled(batch=batch)) for batch in ("1", "n"))
    assert fixed.network.batch is None
    x = floats(3, 3, 8, 8)
    np.testing.assert_array_equal(fixed(x).raw, free(x).raw)


def test_a_built_in_batch_of_one_is_explained_image_by_image() -> None:
    # The mean over the batch axis makes samples depend on each other: nothing fails, but two are not twice one.
    body = (
        "m = ReduceMean(x, axis0)  s = Sub(x, m)  z = Mul(m, x)  t = Add(s, z)  c = Conv <pads = [1, 1, 1, 1]> (t, w)"
    )
    proto = pooled(batch="1", body=body)
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


def test_float16_models_are_explained_like_float32_ones() -> None:
    half = onnx.ModelProto()
    half.CopyFrom(pooled())
    half.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    half.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    for tensor in half.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    x = floats(2, 3, 8, 8)
    one, other = onnxcam.Explainer(half)(x, targets=1), onnxcam.Explainer(pooled())(x, targets=1)
    np.testing.assert_allclose(one.raw, other.raw, atol=0.01 * np.abs(other.raw).max())
    assert one.raw.dtype == np.float32
