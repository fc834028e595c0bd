"""What a model says of its operator sets."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnxcam
from onnxcam.errors import ModelError
from onnxcam.graph.io.load import load
from tests.helpers.checks import OnnxRuntime
from tests.helpers.models import floats


def _model(op_type: str, domain: str, opsets: dict[str, int]) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])]
    graph = helper.make_graph([helper.make_node(op_type, ["x"], ["y"], "only", domain=domain)], "g", inputs, outputs)
    proto = helper.make_model(graph, ir_version=9)
    del proto.opset_import[:]
    proto.opset_import.extend(helper.make_opsetid(*entry) for entry in opsets.items())
    return proto


@pytest.mark.parametrize("opsets", [{"com.microsoft": 1}, {"com.microsoft": 1, "": 0}])
def test_a_model_without_onnx_operators_needs_no_version_of_them(opsets: dict[str, int]) -> None:
    proto = _model("QuickGelu", "com.microsoft", opsets)
    x, ones = floats(2, 3), np.ones((2, 3), np.float32)
    with_gradient = onnxcam.differentiate(proto, of="y", wrt=["x"])
    found = OnnxRuntime(with_gradient)({"x": x, "cotangent": ones})["grad/x"]
    s = 1 / (1 + np.exp(-1.702 * x))
    np.testing.assert_allclose(found, s + 1.702 * x * s * (1 - s), rtol=1e-5)
    assert load(proto).opset == 0


@pytest.mark.parametrize("opsets", [{}, {"": 0}, {"com.microsoft": 1}])
def test_a_version_that_is_missing_is_asked_for(opsets: dict[str, int]) -> None:
    with pytest.raises(
        ModelError, match=r"<ModelProto>: .*does not say which version .*Relu 'only'.*export it again"
    ) as e:
        load(_model("Relu", "", opsets))
    assert "\n" not in str(e.value)
