from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

import onnxcam
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.graph.passes.raise_opset import MINIMUM_OPSET
from tests.helpers.models import classifier, floats, model


def _run(proto: onnx.ModelProto, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    result: npt.NDArray[np.float32] = session.run(None, {"x": x})[0]
    return result


def _same_numbers(proto: onnx.ModelProto) -> ir.Model:
    """Canonicalise and check that the model still computes what it did."""
    x = floats(2, 3, 8, 8)
    before = proto.SerializeToString()
    canonical = canonicalize(load(proto).ir)
    assert proto.SerializeToString() == before, "the given model was changed"
    np.testing.assert_allclose(_run(ir.to_proto(canonical), x), _run(proto, x), rtol=1e-5, atol=1e-6)
    return canonical


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_older_operators_are_raised(opset: int) -> None:
    canonical = _same_numbers(classifier(ending="y = Softmax(logits)", opset=opset))
    assert canonical.graph.opset_imports[""] == MINIMUM_OPSET


def test_newer_operators_stay() -> None:
    assert _same_numbers(classifier(opset=21)).graph.opset_imports[""] == 21


def test_initializers_leave_the_inputs() -> None:
    proto = classifier()
    for tensor in proto.graph.initializer:
        proto.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    canonical = _same_numbers(proto)
    assert [value.name for value in canonical.graph.inputs] == ["x"]


def test_constants_become_initializers() -> None:
    proto = model(
        """g (float[n, 3, 8, 8] x) => (float[n, 192] y) {
            s = Constant <value = int64[2] {0, -1}> ()
            y = Reshape(x, s)
        }"""
    )
    canonical = _same_numbers(proto)
    assert [node.op_type for node in canonical.graph] == ["Reshape"]
    assert "s" in canonical.graph.initializers


def test_functions_are_inlined() -> None:
    proto = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 18, "own" : 1]>
        g (float[n, 3, 8, 8] x) => (float[n, 3, 8, 8] y) { y = own.double_relu(x) }
        <domain: "own", opset_import: ["" : 18]>
        double_relu (a) => (c) { b = Relu(a)  c = Add(b, b) }"""
    )
    canonical = _same_numbers(proto)
    assert [node.op_type for node in canonical.graph] == ["Relu", "Add"]
    assert not canonical.functions


def test_training_mode_is_left() -> None:
    proto = model(
        """g (float[n, 3, 8, 8] x) => (float[n, 3, 8, 8] y) {
            b, m, v = BatchNormalization <training_mode = 1> (x, scale, bias, mean, var)
            y = Dropout(b, ratio, training)
        }""",
        {
            "scale": np.array([1, 2, 3], np.float32),
            "bias": np.array([0, 1, 2], np.float32),
            "mean": np.array([0.5, 0, 0], np.float32),
            "var": np.array([1, 4, 9], np.float32),
            "ratio": np.array(0.9, np.float32),
            "training": np.array(True),
        },
    )
    canonical = ir.to_proto(canonicalize(load(proto).ir))
    x = floats(2, 3, 8, 8)
    scale, mean = np.array([1, 2, 3]) / np.sqrt(np.array([1, 4, 9]) + 1e-5), np.array([0.5, 0, 0])
    expected = (x - mean[:, None, None]) * scale[:, None, None] + np.array([0, 1, 2])[:, None, None]
    np.testing.assert_allclose(_run(canonical, x), expected, rtol=1e-5, atol=1e-5)


def test_large_weights_survive_the_converter() -> None:
    proto = classifier(opset=13)
    expected = {tensor.name: tensor.raw_data for tensor in proto.graph.initializer}
    canonical = ir.to_proto(canonicalize(load(proto).ir))
    kept = {tensor.name: tensor.raw_data for tensor in canonical.graph.initializer}
    assert {name: kept[name] for name in expected} == expected
    assert [value.name for value in canonical.graph.input] == ["x"]


def test_unused_nodes_are_dropped_and_shapes_inferred() -> None:
    proto = classifier(ending="unused = Exp(logits)  y = Identity(logits)")
    canonical = canonicalize(load(proto).ir)
    assert "Exp" not in {node.op_type for node in canonical.graph}
    shapes = {value.name: value.shape for node in canonical.graph for value in node.outputs}
    assert shapes["a2"] == ir.Shape(["n", 6, 4, 4])


def test_weights_in_a_file_of_their_own_stay_there(tmp_path: Path) -> None:
    proto = classifier(classes=64, opset=13)
    path = tmp_path / "model.onnx"
    copy = classifier(classes=64, opset=13)
    onnx.save(copy, path, save_as_external_data=True, location="weights.data", size_threshold=0)
    canonical = canonicalize(load(path).ir)
    weight = canonical.graph.initializers["w3"].const_value
    assert isinstance(weight, ir.ExternalTensor)
    x = floats(2, 3, 8, 8)
    here = onnxcam.Explainer(path)(x)
    np.testing.assert_allclose(here.raw, onnxcam.Explainer(proto)(x).raw, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ending", ["y = Identity(big)", "y = Softmax <axis = 1> (big)"])
def test_declared_spatial_sizes_are_not_believed_where_images_of_any_size_go(ending: str) -> None:
    """The exporter's example was 8 x 8; the graph enlarges to the size of the image, and so its cotangent is."""
    proto = model(
        f"""g (float[n, 3, h, w] x) => (float[n, 5, 8, 8] y) {{
            c = Conv <strides = [2, 2]> (x, k)
            s = Shape <start = 2> (x)  front = Shape <end = 2> (c)  all = Concat <axis = 0> (front, s)
            big = Resize <mode = "linear"> (c, , , all)
            {ending}
        }}""",
        {"k": floats(5, 3, 3, 3)},
    )
    x, cotangent = floats(2, 3, 12, 10), floats(2, 5, 12, 10, seed=1)
    graph = onnxcam.differentiate(proto, of="y", wrt=["x"])
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(["grad/x"], {"x": x, "cotangent": cotangent})[0].shape == x.shape
    mask = np.zeros((12, 10), bool)
    mask[3:6, 2:] = True
    found = onnxcam.Explainer(proto, "gradient", score="y", providers=["cpu"])(x, targets=onnxcam.target.Class(1, mask))
    assert len(found.raw) == len(x)


def test_declared_sizes_stay_where_the_graph_has_them() -> None:
    proto = model(
        "g (float[n, 3, h, w] x) => (float[n, 3, 6, 6] y, float[n, 5, 1, 1] z) "
        "{ y = Resize (x, , , sizes)  z = Reshape(x, target) }",
        {"sizes": np.array([2, 3, 6, 6]), "target": np.array([-1, 5, 1, 1])},
    )
    y, z = (value.shape for value in canonicalize(load(proto).ir).graph.outputs)
    assert y is not None
    assert z is not None
    assert (list(y.dims[1:]), list(z.dims[1:])) == ([3, 6, 6], [5, 1, 1])
