"""Classifiers that end in dictionaries and names."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxcam
from tests.helpers.models import classifier, floats

NAMES = ["ant", "bee", "cat", "dog", "eel"]


def _ending(kind: str) -> onnx.ModelProto:
    """Return the small classifier with what tools for classical models put after it."""
    model = classifier(ending="y = Softmax(logits)")
    graph = model.graph
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    names = numpy_helper.from_array(np.array(NAMES, object), "names")
    argmax = helper.make_node("ArgMax", ["y"], ["best"], axis=1)
    ml = {"domain": "ai.onnx.ml"}
    text = helper.make_tensor_value_info("label", TensorProto.STRING, None)
    if kind == "zipmap":
        graph.node.append(helper.make_node("ZipMap", ["y"], ["z"], classlabels_strings=NAMES, **ml))
        pairs = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        output = helper.make_value_info("z", helper.make_sequence_type_proto(pairs))
        graph.output[0].CopyFrom(output)
    elif kind == "extractor":
        graph.initializer.append(names)
        graph.node.extend([argmax, helper.make_node("ArrayFeatureExtractor", ["names", "best"], ["label"], **ml)])
        graph.output[0].CopyFrom(text)
    elif kind == "gather":
        graph.initializer.append(names)
        graph.node.extend([argmax, helper.make_node("Gather", ["names", "best"], ["label"])])
        graph.output.append(text)
    else:
        order = [4, 2, 0, 1, 3]
        encoder: dict[str, Any] = {"keys_int64s": order, "values_strings": [NAMES[i] for i in order]}
        graph.node.extend([argmax, helper.make_node("LabelEncoder", ["best"], ["label"], **encoder, **ml)])
        graph.output[0].CopyFrom(text)
    return model


@pytest.mark.parametrize("kind", ["zipmap", "extractor", "gather", "encoder"])
def test_names_become_labels(kind: str) -> None:
    x = floats(2, 3, 8, 8)
    plain = onnxcam.Explainer(classifier(ending="y = Softmax(logits)"), providers=["cpu"])(x)
    explainer = onnxcam.Explainer(_ending(kind), providers=["cpu"])
    assert explainer.labels == tuple(NAMES)
    found = explainer(x)
    assert (found.score, found.activation) == ("logits", "softmax")
    np.testing.assert_allclose(found.maps, plain.maps, atol=1e-5)
    assert explainer(x, targets="cat").targets.tolist() == [2, 2]


def test_given_labels_come_first() -> None:
    model = _ending("zipmap")
    helper.set_model_props(model, {"onnxcam.labels": '["a", "b", "c", "d", "e"]'})
    assert onnxcam.Explainer(model).labels == ("a", "b", "c", "d", "e")
    assert onnxcam.Explainer(model, labels=NAMES).labels == tuple(NAMES)


def test_an_experiment_beside_the_score_does_not_stop_the_file() -> None:
    """ONNX has given up ScaledTanh; onnxruntime runs it."""
    text = """<ir_version: 4, opset_import: ["": 9]>
    main (float[2,3,8,8] x) => (float[2,4] y, float[2,4,8,8] other) <float[4,3,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1,
    2, 3}> {
      a = Conv (x, w) b = GlobalAveragePool (a) y = Flatten (b) other = ScaledTanh <alpha = 1.0, beta = 2.0> (a) }"""
    model = onnx.parser.parse_model(text)
    found = onnxcam.Explainer(model, "hires-cam", layer="a", providers=["cpu"])(floats(2, 3, 8, 8))
    assert found.score == "y"
    np.testing.assert_allclose(found.raw.sum(axis=(1, 2)), found.scores.max(axis=1), rtol=1e-4)
