"""Networks of torchvision whose files keep every normalisation, as torch's exporter writes them when asked to."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from onnxcam.graph.passes.fold_batchnorm import FoldBatchNorm
from onnxcam.network.open_session import open_session
from onnxcam.network.read import read_network
from tests.helpers import torch_shim  # noqa: F401 - before anything that imports torchvision
from tests.helpers.models import floats

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torchvision

SIZE = (3, 64, 64)


def _file(name: str, options: dict[str, Any]) -> tuple[Any, bytes]:
    """Return a network with statistics far from those of an untrained one, and its file."""
    torch.manual_seed(0)
    network = getattr(torchvision.models, name)(**options)
    if name == "vgg11_bn":
        network.avgpool, network.classifier = torch.nn.Identity(), torch.nn.Linear(512 * 4, 10)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    network.eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporters warn about themselves
        kept = {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE, "opset_version": 17}
        torch.onnx.export(network, (torch.zeros(2, *SIZE),), buffer, dynamo=False, input_names=["x"], **kept)
    return network, buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "options", "before", "after"),
    [
        ("resnet18", {}, 20, 0),
        ("vgg11_bn", {}, 8, 0),
        pytest.param("googlenet", {"aux_logits": False, "init_weights": False}, 57, 0, marks=pytest.mark.slow),
        pytest.param("densenet121", {}, 121, 62, marks=pytest.mark.slow),  # what lies between Concat and ReLU stays
    ],
)
def test_scores_stay(name: str, options: dict[str, Any], before: int, after: int) -> None:
    network, data = _file(name, options)
    read = read_network(data)
    folded = FoldBatchNorm()(read.model).model
    counts = [sum(node.op_type == "BatchNormalization" for node in model.graph) for model in (read.model, folded)]
    assert counts == [before, after]
    x = floats(2, *SIZE)
    score = read.score.name
    plain, ours = (open_session(model, ["cpu"]).run({"x": x}, [score])[score] for model in (read.model, folded))
    theirs = network(torch.tensor(x)).detach().numpy()
    for wanted in (plain, theirs):
        tolerance = 1e-5 * np.abs(wanted).max()
        assert np.abs(ours - wanted).max() < tolerance
        assert np.abs(1.001 * ours - wanted).max() > tolerance
