from __future__ import annotations

import builtins
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from tests.helpers.torch_shim import torchvision  # isort: skip  # onnx2torch imports it

import onnxcam
from onnxcam.engines.onnx_engine import OnnxEngine
from onnxcam.engines.protocol import Engine
from onnxcam.engines.result import EngineResult
from onnxcam.engines.torch_engine import TorchEngine
from onnxcam.errors import InputError, ProviderError, UnsupportedError
from onnxcam.network.random_inputs import random_inputs
from onnxcam.network.read import read_network
from onnxcam.network.sessions import SessionPool
from onnxcam.targets import Box, Difference
from onnxcam.targets.batch import resolve_targets
from tests.helpers.models import classifier, floats, model
from tests.helpers.shared import shared_path

assert torchvision is not None

CONVERTIBLE = [
    "geometric_shapes",
    "mnist_burn",
    "person_keras_fp32",
    "resnet8_cifar10_keras_fp32",
    "ultraface_slim_face",
    "vittracker_two_inputs",
]


def old(**options: Any) -> onnx.ModelProto:
    """Return the classifier in an opset that onnx2torch knows all of."""
    return classifier(opset=13, **options)


def check_engines_agree(source: Any, x: Any, targets: Any = None, method: str = "hires-cam", **options: Any) -> None:
    """Compare the maps of the two engines."""
    first, second = (
        onnxcam.Explainer(source, method, engine=engine, **options)(x, targets) for engine in ("onnx", "torch")
    )
    np.testing.assert_allclose(second.scores, first.scores, rtol=1e-4, atol=1e-5)
    assert (second.targets == first.targets).all()
    np.testing.assert_allclose(second.raw, first.raw, atol=1e-4 * np.abs(first.raw).max())
    assert second.provider == "torch (onnx2torch)"


@pytest.mark.parametrize("name", CONVERTIBLE)
def test_maps_of_real_models_are_the_same(name: str) -> None:
    path = shared_path("models", f"{name}.onnx")
    feeds = random_inputs(onnxcam.Explainer(path).network.inputs, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's own
        check_engines_agree(path, feeds)


@pytest.mark.parametrize("batch", ["n", "1", "2"])
@pytest.mark.parametrize("method", ["grad-cam", "layer-cam", "gradient-x-input", "eigen-cam"])
def test_maps_of_a_small_model_are_the_same(method: str, batch: str) -> None:
    check_engines_agree(old(batch=batch), floats(3, 3, 8, 8), method=method)


def test_a_weight_may_be_a_copy() -> None:
    """Torch's exporter keeps weights of the same numbers once, as the biases of a network that has not been trained."""
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) {
        bias = Identity (b) c = Conv (x, v, b) d = Conv (c, k, bias) a = Relu (d)
        p = GlobalAveragePool (a) y = Flatten (p)
    }"""
    weights = {"v": floats(4, 3, 3, 3, seed=1), "k": floats(4, 4, 3, 3, seed=2), "b": np.zeros(4, np.float32)}
    check_engines_agree(model(text, weights, opset=13), floats(2, 3, 8, 8))


def test_targets_mean_the_same() -> None:
    check_engines_agree(old(), floats(3, 3, 8, 8), [None, 2, Difference(1, (0, 3))], layer="a1")


def test_boxes_mean_the_same() -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 16, 6] y) {
        c = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(x, w) a = Relu(c) d = Conv(a, v)
        r = Reshape(d, shape) y = Transpose<perm = [0, 2, 1]>(r)
    }"""
    weights = {"w": floats(4, 3, 3, 3), "v": floats(6, 4, 1, 1), "shape": np.array([0, 6, 16])}
    check_engines_agree(model(text, weights, opset=13), floats(2, 3, 8, 8), Box(3), layer="a")


def test_a_wrong_name_for_an_engine() -> None:
    with pytest.raises(InputError, match="'onnx' or 'torch'"):
        onnxcam.Explainer(old(), engine="jax")  # type: ignore[arg-type]  # that is the point


def test_operators_that_cannot_be_converted_are_named() -> None:
    text = "g (float[n, 3, 8, 8] x) => (float[n, 3] y) { a = Mish(x) b = Relu(a) y = ReduceMean<keepdims = 0>(b, k) }"
    explainer = onnxcam.Explainer(model(text, {"k": np.array([2, 3])}), "gradient", engine="torch")
    with pytest.raises(UnsupportedError, match=r"does not convert Mish \(opset 18\), ReduceMean \(opset 18\)"):
        explainer(floats(1, 3, 8, 8))


def _run(engine: Engine, feeds: Mapping[str, Any]) -> EngineResult:
    network = engine.network
    return engine.run(feeds, resolve_targets(None, network.count(feeds), network.score, None))


def test_a_layer_that_the_file_does_not_have() -> None:
    network = read_network(old())
    with pytest.raises(UnsupportedError, match="no value 'a1/real'"):
        _run(TorchEngine(network, "a1/real"), {"x": floats(1, 3, 8, 8)})


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (ModuleNotFoundError("No module named 'onnx2torch'"), r"pip install 'onnxcam\[torch\]'"),
        (
            RuntimeError("operator torchvision::nms does not exist"),
            r"nms does not exist; check that torch and torchvision match",
        ),
    ],
    ids=["without the extra", "a torchvision that does not match torch"],
)
def test_an_import_that_fails_says_what_to_do(
    failure: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def failing(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "onnx2torch":
            raise failure
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", failing)
    with pytest.raises(ProviderError, match=message):
        onnxcam.Explainer(old(), engine="torch")(floats(1, 3, 8, 8))


def test_engines_have_one_interface() -> None:
    network = read_network(old())
    feeds: Mapping[str, Any] = {"x": floats(2, 3, 8, 8)}
    engines: Sequence[Engine] = [OnnxEngine(network, "a2", SessionPool()), TorchEngine(network, "a2")]
    for engine in engines:
        found = _run(engine, feeds)
        assert found.g is not None
        assert found.a.shape == found.g.shape == (2, 6, 4, 4)
        assert engine.session.provider == engine.provider
        assert engine.batch_size >= 1
    assert _run(TorchEngine(network, "a2", gradient=False), feeds).g is None
    assert "onnxruntime" in sys.modules
