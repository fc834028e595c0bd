"""Files that keep their normalisations and files that have them folded into the layers beside give one map."""

from __future__ import annotations

import copy
import io
import warnings
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import onnxcam
from onnxcam.methods.base import Method
from onnxcam.methods.registry import method, methods
from onnxcam.relevance.composite import composites
from tests.helpers.models import floats

nn = torch.nn

# Of the map's largest value: rounding, which weights multiplied beforehand change in their last bits.
TOLERANCE = 1e-4
TARGETS = [1, 3]
# Far from 0: what is left of a probability when its mean is taken away should not be rounding alone.
X = 5 * floats(2, 3, 24, 24)


def normalisation(kind: Any, channels: int) -> Any:
    """Return one whose scales are of both signs."""
    made, draw = kind(channels), np.random.default_rng(channels)
    numbers = {
        "weight": draw.uniform(0.5, 1.5, channels) * np.resize([1, -1, 1], channels),
        "bias": draw.normal(0, 0.5, channels),
        "running_mean": draw.normal(0, 0.5, channels),
        "running_var": draw.uniform(0.5, 2, channels),
    }
    made.load_state_dict({name: torch.tensor(array) for name, array in numbers.items()}, strict=False)
    return made


def layers(before: bool) -> list[Any]:
    """Return a classifier with normalisations after its convolutions; with ``before``, before linear layers too."""
    torch.manual_seed(0)
    found = [
        *(nn.Conv2d(3, 6, 3, padding=1), normalisation(nn.BatchNorm2d, 6), nn.ReLU()),
        *(nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False), normalisation(nn.BatchNorm2d, 8), nn.ReLU()),
        nn.MaxPool2d(2),
        *([normalisation(nn.BatchNorm2d, 8)] if before else []),
        *(nn.Conv2d(8, 12, 3, groups=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *([normalisation(nn.BatchNorm1d, 12)] if before else []),
        nn.Linear(12, 5),
    ]
    return [module.eval() for module in found]


def folded(modules: list[Any]) -> list[Any]:
    """Return the same network without normalisations: the weights beside them take them in."""
    found: list[Any] = []
    waiting = None
    for module in map(copy.deepcopy, modules):
        if not isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            if waiting is not None:
                _take_in(module, *waiting)
            waiting = None
            found.append(module)
            continue
        scale = module.weight / torch.sqrt(module.running_var + module.eps)
        shift = module.bias - scale * module.running_mean
        if isinstance(found[-1], nn.Conv2d):
            last = found[-1]
            last.weight.data = last.weight * scale[:, None, None, None]
            last.bias = nn.Parameter(shift if last.bias is None else last.bias * scale + shift)
        else:
            waiting = scale, shift
    return found


def _take_in(module: Any, scale: Any, shift: Any) -> None:
    """Let a linear layer, which pads nothing, do what a normalisation before it did."""
    groups = getattr(module, "groups", 1)
    weight = module.weight.reshape(groups, -1, *module.weight.shape[1:])
    rest = (1,) * (module.weight.ndim - 2)
    scaled, shifted = (weight * one.reshape(groups, 1, -1, *rest) for one in (scale, shift))
    module.bias = nn.Parameter(module.bias + shifted.flatten(2).sum(2).flatten())
    module.weight.data = scaled.reshape(module.weight.shape)


@cache
def files(before: bool) -> tuple[bytes, bytes]:
    """Return the network's file with its normalisations, and with these folded."""
    kept = layers(before)
    return _file(kept), _file(folded(kept))


def _file(modules: list[Any]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporters warn about themselves
        how = {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE, "dynamo": False}
        network = nn.Sequential(*modules).eval()
        axes = {"x": {0: "n"}, "y": {0: "n"}}
        x = torch.zeros(2, 3, 24, 24)
        torch.onnx.export(network, (x,), buffer, input_names=["x"], output_names=["y"], dynamic_axes=axes, **how)
    return buffer.getvalue()


def difference(explained: Method, before: bool) -> float:
    """Return by how much the two files' maps differ, relative to the largest value."""
    one, other = (onnxcam.Explainer(file, explained, threads=1)(X, targets=TARGETS).raw for file in files(before))
    assert np.abs(other).max() > 0
    return float(np.abs(one - other).max() / np.abs(other).max())


FEW: dict[str, dict[str, Any]] = {
    "rise": {"count": 64, "grid": 3},
    "refine-cam": {"layers": (-1,)},
    "group-cam": {"weights": "signed"},
}
SAMPLES = [
    *(method(name, **FEW.get(name, {})) for name, cls in methods().items() if cls().needs.reads == "layer"),
    method("lrp", composite="epsilon-gamma-box"),
    method("lrp", composite="epsilon-alpha2-beta1-flat"),
    method("clrp", composite="z-plus"),
    method("fg-cam", base="score-cam"),
    method("fg-cam", denoise=True),
    method("ablation-cam", closed_form=False),
]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_map_is_that_of_the_folded_file(sample: Method) -> None:
    assert difference(sample, before=True) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("composite", composites())
@pytest.mark.parametrize("name", ["lrp", "clrp", "sglrp"])
def test_every_composite(name: str, composite: str) -> None:
    assert difference(method(name, composite=composite), before=True) < TOLERANCE


def test_the_files_differ_in_nothing_but_normalisations() -> None:
    kept, gone = ([node.op_type for node in onnx.load_from_string(file).graph.node] for file in files(before=True))
    assert kept.count("BatchNormalization") == 4
    assert [kind for kind in kept if kind not in ("BatchNormalization", "Identity")] == gone
    one, other = (onnxcam.Explainer(file, "eigen-cam")(X).scores for file in files(before=True))
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_full_gradients_follow_the_biases() -> None:
    """After a convolution a normalisation's constants are the convolution's own; before one they are added elsewhere.

    The map shows where constants are added, and is another one then by its definition; the sum is the same.
    """
    for form in ("rescaled", "signed"):
        assert difference(method("full-grad", form=form), before=False) < TOLERANCE
    assert difference(method("full-grad"), before=True) > 0.01
    signed = method("full-grad", form="signed")
    one, other = (onnxcam.Explainer(file, signed, threads=1)(X, targets=TARGETS).raw for file in files(before=True))
    np.testing.assert_allclose(one.sum((1, 2)), other.sum((1, 2)), rtol=1e-4)
