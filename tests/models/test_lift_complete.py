"""LIFT-CAM's weights sum to the change of the score from a layer of zeros, in files of other people."""

from __future__ import annotations

import numpy as np
import pytest

from onnxcam.attribution.view import view_batch
from onnxcam.graph.analysis.layers import candidates
from onnxcam.network.feeds import check_feeds
from onnxcam.targets.batch import flatten_targets, resolve_targets
from tests.models.test_real import explainer, photographs

# Maximum pools, attention beside a class token, integers in three forms; which layer, as a share of all, and how near.
FILES = [
    ("mnist_burn", 0.0, 1e-5),
    ("geometric_shapes", 0.0, 1e-5),
    ("vit_cifar10_fp32", 0.5, 1e-5),
    ("resnet8_cifar10_tflite_int8", 0.5, 1e-5),
    pytest.param("squeezenet_caffe2_fp16", 0.0, 1e-3, marks=pytest.mark.slow),
    # onnxruntime fuses the two graphs that are compared differently, and rounds differently.
    pytest.param("mobilenet_v1_tf_qdq_uint8", 0.0, 5e-3, marks=pytest.mark.slow),
    pytest.param("shufflenet_v2_qlinear_int8", 0.0, 1e-4, marks=pytest.mark.slow),
    pytest.param("mobilenet_v2_torch_dynamo_dynquant", 0.5, 1e-4, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "depth", "tolerance"), FILES)
def test_weights_sum_to_the_change_of_the_score(name: str, depth: float, tolerance: float) -> None:
    whole = explainer(name, "lift-cam").network
    layers = candidates(whole.model.graph, whole.score.name)
    made = explainer(name, "lift-cam", layer=layers[int(depth * len(layers))].name)
    x = np.concatenate([made.read(path).array for path in photographs(name)[:2]])
    targets, samples = flatten_targets(None, len(x))
    targets_found = resolve_targets(targets, len(samples), made.network.score, None)
    view = view_batch(made._context, check_feeds(made.network, x), targets_found, samples)
    keep = np.zeros((1, view.a.shape[1], *(1 for _ in view.a.shape[2:])), np.float32)
    weights = (view.deeplift_multipliers() * view.a).reshape(len(x), -1).sum(axis=1)
    for sample, weight in enumerate(weights):
        change = view.score[sample] - view.ablated(sample, keep)[0]
        assert abs(change) > 0.1
        assert abs(weight - change) < tolerance * abs(change)
