"""Files that other people exported, on real photographs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import onnxcam
from onnxcam.errors import UnsupportedError
from onnxcam.images import Preprocess
from onnxcam.methods.base import Method
from onnxcam.methods.registry import methods
from tests.helpers.few import few
from tests.helpers.shared import shared_path

MODELS = [
    "squeezenet_caffe2_fp16",
    "mobilenet_v2_torch_dynamo_fp32",
    "resnet8_cifar10_keras_fp32",
    "person_keras_fp32",
    "geometric_shapes",
    "mnist_burn",
]
# CAM is defined before global average pooling; these two end in two linear layers.
WITHOUT_CAM = {"geometric_shapes", "mnist_burn"}
# Where predictions are certain, nothing that is shown changes them, and what weighs by the change finds nothing.
BLANK = {
    ("geometric_shapes", "sglrp"),
    ("geometric_shapes", "group-cam"),
    ("geometric_shapes", "rise"),
    ("person_keras_fp32", "group-cam"),
    ("mnist_burn", "recipro-cam"),
}
# The paper's rules lose what units without contributions have, along chains of depthwise convolutions nearly all.
LOSSY = {("mobilenet_v2_torch_dynamo_fp32", "fg-cam")}
# A run for every channel, hundreds of them in the two largest files.
RUNS_OF_CHANNELS = {"score-cam", "ss-cam", "is-cam"}
LARGE = {"squeezenet_caffe2_fp16", "mobilenet_v2_torch_dynamo_fp32"}


def conventions(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shared_path("models", "models.json").read_text())[name]
    return found


def photographs(name: str) -> list[Path]:
    if conventions(name)["task"] == "cifar10":
        return sorted(shared_path("images", "cifar10").glob("*.png"))[:3]
    return [shared_path("images", "photos", photo) for photo in ("both.png", "horses.jpg", "dog.jpg")]


def explainer(name: str, method: str | Method, **options: Any) -> onnxcam.Explainer:
    # What a model with two inputs says of them is no part of the preprocessing.
    preprocess = Preprocess.from_json(json.dumps({k: v for k, v in conventions(name).items() if k != "inputs"}))
    return onnxcam.Explainer(shared_path("models", f"{name}.onnx"), method, preprocess=preprocess, **options)


def takes_long(name: str, method: str) -> bool:
    return name in LARGE and method in RUNS_OF_CHANNELS


def cases() -> Iterator[Any]:
    for name in MODELS:
        for method in methods():
            yield pytest.param(name, method, marks=[pytest.mark.slow] if takes_long(name, method) else [])


@pytest.mark.parametrize(("name", "method"), list(cases()))
def test_every_method_gives_a_map(name: str, method: str) -> None:
    refusal = None
    if method == "cam" and name in WITHOUT_CAM:
        refusal = "global average pooling"
    elif methods()[method]().needs.reads == "attentions":
        refusal = "has no attention; use hires-cam"
    if refusal is not None:
        with pytest.raises(UnsupportedError, match=refusal):
            explainer(name, method)
        return
    made = explainer(name, few(method))
    count = 1 if takes_long(name, method) else 2 if name in LARGE else 3
    photos = [made.read(path) for path in photographs(name)[:count]]
    result = made.explain(photos)
    assert result.maps.shape == (len(photos), *made.image.extent)
    assert np.isfinite(result.raw).all()
    blank = np.array([any("blank" in warning for warning in one) for one in result.warnings])
    assert blank.any() == ((name, method) in BLANK), result.warnings
    lossy = np.array([any("arrives in the map" in warning for warning in one) for one in result.warnings])
    assert lossy.all() == ((name, method) in LOSSY), result.warnings
    assert all(blank[row] or lossy[row] for row, one in enumerate(result.warnings) if one), result.warnings
    np.testing.assert_array_equal(result.maps.max(axis=(1, 2)), np.where(blank, 0, 1))
    if len(photos) == 1:
        return
    alone = made.explain(photos[1:2])
    scale = np.abs(alone.raw).max()
    # float16 scores differ by a rounding of their own where the batch changes the order of sums.
    tolerance = 2e-2 if "fp16" in name else 1e-4
    np.testing.assert_allclose(result.raw[1], alone.raw[0], atol=tolerance * scale)


@pytest.mark.parametrize("name", ["squeezenet_caffe2_fp16", "mobilenet_v2_torch_dynamo_fp32"])
def test_the_cat_and_the_dog_are_told_apart(name: str) -> None:
    labels = json.loads(shared_path("images", "imagenet_labels.json").read_text())
    made = explainer(name, "hires-cam", labels=labels)
    photo = made.read(shared_path("images", "photos", "both.png"))
    result = made.explain([photo] * 3, ["tabby", "boxer", "bull mastiff"])
    rows = np.arange(result.maps.shape[1])[:, None] / result.maps.shape[1]
    centre = (result.maps * rows).sum(axis=(1, 2)) / result.maps.sum(axis=(1, 2))
    # The dog sits in the upper half of the picture, the cat lies in the lower one.
    assert centre[0] > 0.53
    assert (centre[1:] < 0.4).all()
    dog, cat = (slice(0, 110), slice(20, 160)), (slice(130, 215), slice(40, 190))
    assert result.maps[0][cat].mean() > 1.3 * result.maps[0][dog].mean()
    assert (result.maps[1:, *dog].mean(axis=(1, 2)) > 3 * result.maps[1:, *cat].mean(axis=(1, 2))).all()


def test_attention_of_an_old_opset_is_followed() -> None:
    """Its softmax is one of a matrix, made of batch, heads and rows at once; the definition is written as loops."""
    model = onnx.load(shared_path("models", "vit_cifar10_fp32.onnx"))
    made = explainer("vit_cifar10_fp32", "rollout")
    photos = [made.read(path) for path in sorted(shared_path("images", "cifar10").glob("*.png"))[:3]]
    names = [node.output[0] for node in model.graph.node if node.op_type == "Softmax"]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    whole = np.concatenate([photo.array for photo in photos])
    layers = session.run(names, {session.get_inputs()[0].name: whole})
    assert [layer.shape for layer in layers] == [(3, 3, 5, 5)] * 2
    for row, found in enumerate(made.explain(photos).raw):
        path = np.eye(5)
        for layer in layers:
            mixed = layer[row].mean(axis=0) / 2 + np.eye(5) / 2
            path = mixed @ path
        np.testing.assert_allclose(found.ravel(), path[0, 1:], rtol=1e-5)


def test_real_photographs_of_cifar_classes_are_recognised() -> None:
    made = explainer("resnet8_cifar10_keras_fp32", "hires-cam")
    paths = sorted(shared_path("images", "cifar10").glob("*.png"))
    result = made.explain([made.read(path) for path in paths])
    truth = [int(path.stem.rsplit("_", 1)[1]) for path in paths]
    assert (result.targets == truth).mean() >= 0.8
