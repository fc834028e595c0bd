from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxcam.graph.analysis.linear_weights import Weights, in_own_layout
from onnxcam.graph.io.load import load
from onnxcam.graph.io.serialize import serialize
from onnxcam.graph.passes import fold_batchnorm as folding
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.graph.passes.expose import expose
from onnxcam.graph.passes.fold_batchnorm import FoldBatchNorm
from onnxcam.network.open_session import open_session
from onnxcam.network.random_inputs import random_inputs
from onnxcam.network.read import read_network
from tests.helpers.models import floats, model
from tests.helpers.shared import shared_path

IMAGE, MATRIX = "float[n, 4, 6, 6] x", "float[n, 4] x"


def _norm(channels: int, name: str = "", seed: int = 0) -> dict[str, Any]:
    """Statistics of a normalisation; some of the scales are negative."""
    return {
        f"s{name}": floats(channels, seed=seed + 1),
        f"b{name}": floats(channels, seed=seed + 2),
        f"m{name}": floats(channels, seed=seed + 3),
        f"v{name}": np.abs(floats(channels, seed=seed + 4)) + 0.1,
    }


@dataclass(frozen=True)
class Case:
    """A network, and the operators that it is made of when folded."""

    body: str
    folded: str
    weights: Mapping[str, Any] = field(default_factory=dict)
    takes: str = IMAGE


W, V = floats(6, 4, 3, 3, seed=7), floats(5, 6, 1, 1, seed=8)
CASES = {
    "conv": Case("c = Conv(x, w) y = BatchNormalization(c, s, b, m, v)", "Conv", {"w": W, **_norm(6)}),
    "conv with a bias and padding": Case(
        "c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w, c0) y = BatchNormalization <epsilon = 0.3> "
        "(c, s, b, m, v)",
        "Conv",
        {"w": W, "c0": floats(6), **_norm(6)},
    ),
    "groups": Case(
        "c = Conv <group = 2> (x, w) y = BatchNormalization(c, s, b, m, v)", "Conv", {"w": W[:, :2], **_norm(6)}
    ),
    "depthwise": Case(
        "c = Conv <group = 4> (x, w) y = BatchNormalization(c, s, b, m, v)",
        "Conv",
        {"w": floats(8, 1, 3, 3, seed=3), **_norm(8)},
    ),
    "transposed in groups": Case(
        "c = ConvTranspose <group = 2, strides = [2, 2]> (x, w) y = BatchNormalization(c, s, b, m, v)",
        "ConvTranspose",
        {"w": floats(4, 3, 3, 3, seed=3), **_norm(6)},
    ),
    "constants written out": Case(
        "c = Conv(x, w) d = Sub(c, m4) e = Mul(d, s4) y = Add(b4, e)",
        "Conv",
        {"w": W, **{key: floats(6, 1, 1, seed=seed) for seed, key in enumerate(("m4", "s4", "b4"))}},
    ),
    "taken from a constant, divided": Case(
        "c = Conv(x, w) d = Sub(k, c) y = Div(d, k)", "Conv", {"w": W, "k": floats(1, 6, 1, 1)}
    ),
    "gemm": Case(
        "c = Gemm <alpha = 0.5, beta = 2.0, transB = 1> (x, w, c0) y = BatchNormalization(c, s, b, m, v)",
        "Gemm",
        {"w": W[:, :, 0, 0], "c0": floats(6), **_norm(6)},
        MATRIX,
    ),
    "gemm without a bias": Case(
        "c = Gemm(x, w) y = BatchNormalization(c, s, b, m, v)", "Gemm", {"w": floats(4, 6), **_norm(6)}, MATRIX
    ),
    "matmul and add": Case(
        "p = MatMul(x, w) c = Add(c0, p) y = BatchNormalization(c, s, b, m, v)",
        "MatMul Add",
        {"w": floats(4, 6), "c0": floats(6), **_norm(6)},
        MATRIX,
    ),
    "matmul": Case(
        "c = MatMul(x, w) y = BatchNormalization(c, s, b, m, v)", "MatMul Add", {"w": floats(4, 6), **_norm(6)}, MATRIX
    ),
    "scale of a matmul": Case("c = MatMul(x, w) y = Mul(c, k)", "MatMul", {"w": floats(6, 3), "k": floats(3)}),
    "before a matmul": Case(
        "d = Mul(x, k) e = Add(d, l) c = MatMul(e, w) y = Relu(c)",
        "MatMul Add Relu",
        {"w": floats(6, 3), "k": floats(6), "l": floats(6, seed=2)},
    ),
    "before a gemm": Case(
        "d = BatchNormalization(x, s, b, m, v) y = Gemm <transB = 1, beta = 3.0> (d, w, c0)",
        "Gemm",
        {"w": floats(6, 4), "c0": floats(6), **_norm(4)},
        MATRIX,
    ),
    "before a conv": Case(
        "r = Relu(x) d = BatchNormalization(r, s, b, m, v) y = Conv <group = 2> (d, w)",
        "Relu Conv",
        {"w": W[:, :2], **_norm(4)},
    ),
    "a factor before a conv that pads": Case(
        "r = Relu(x) d = Mul(r, k) y = Conv <pads = [1, 1, 1, 1]> (d, w)",
        "Relu Conv",
        {"w": W, "k": floats(4, 1, 1)},
    ),
    "a normalisation before a conv that pads": Case(
        "r = Relu(x) d = BatchNormalization(r, s, b, m, v) y = Conv <pads = [1, 1, 1, 1]> (d, w)",
        "Relu BatchNormalization Conv",
        {"w": W, **_norm(4)},
    ),
    "a normalisation before a conv that pads by itself": Case(
        'r = Relu(x) d = BatchNormalization(r, s, b, m, v) y = Conv <auto_pad = "SAME_UPPER"> (d, w)',
        "Relu BatchNormalization Conv",
        {"w": W, **_norm(4)},
    ),
    "a normalisation before a transposed conv": Case(
        "r = Relu(x) d = BatchNormalization(r, s, b, m, v) y = ConvTranspose(d, w)",
        "Relu BatchNormalization ConvTranspose",
        {"w": floats(4, 3, 3, 3), **_norm(4)},
    ),
    "between two convs": Case(
        "c = Conv(x, w) d = BatchNormalization(c, s, b, m, v) y = Conv(d, u)", "Conv Conv", {"w": W, "u": V, **_norm(6)}
    ),
    "channels last": Case(
        "c = Conv(x, w) t = Transpose <perm = [0, 2, 3, 1]> (c) d = Mul(t, k) y = Add(d, l)",
        "Conv Transpose",
        {"w": W, "k": floats(6), "l": floats(6, seed=3)},
    ),
    "channels last, before": Case(
        "r = Transpose <perm = [0, 2, 3, 1]> (x) d = Mul(r, k) t = Transpose <perm = [0, 3, 1, 2]> (d) y = Conv(t, w)",
        "Transpose Transpose Conv",
        {"w": W, "k": floats(4)},
    ),
    "another axis than the channels": Case(
        "c = Conv(x, w) y = Mul(c, k)", "Conv Mul", {"w": floats(4, 4, 3, 3), "k": floats(4)}
    ),
    "a constant that differs from position to position": Case(
        "c = Conv(x, w) y = Add(c, k)", "Conv Add", {"w": W, "k": floats(6, 4, 4)}
    ),
    "a number that all channels share": Case(
        "c = Conv(x, w) y = Mul(c, k)", "Conv Mul", {"w": W, "k": np.float32(3.0)}
    ),
    "read by something else": Case(
        "c = Conv(x, w) d = BatchNormalization(c, s, b, m, v) y = Add(c, d)",
        "Conv BatchNormalization Add",
        {"w": W, **_norm(6)},
    ),
    "weights of two": Case(
        "c = Conv <pads = [1, 1, 1, 1]> (x, w) d = BatchNormalization(c, s, b, m, v) r = Relu(d) "
        "y = Conv <pads = [1, 1, 1, 1]> (r, w)",
        "Conv Relu Conv",
        {"w": floats(4, 4, 3, 3), **_norm(4)},
    ),
}


def _model(case: Case) -> onnx.ModelProto:
    rank = 2 if case.takes == MATRIX else 4
    sizes = ", ".join("nabc"[:rank])
    return model(
        f"g ({case.takes}) => (float[{sizes}] y) {{ {case.body} }}", {k: np.asarray(v) for k, v in case.weights.items()}
    )


def _run(network: ir.Model, feeds: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return open_session(network, ["cpu"]).run(feeds, names)


def _gap(one: ir.Model, other: ir.Model, feeds: dict[str, Any], names: list[str]) -> float:
    """Return the largest difference between some values of two networks, relative to their size."""
    a, b = (_run(expose(network, names), feeds, names) for network in (one, other))
    assert all(a[name].dtype == b[name].dtype and a[name].shape == b[name].shape for name in names)
    pairs = [(a[name].astype(np.float64), b[name].astype(np.float64)) for name in names]
    return max(float(np.abs(x - y).max() / max(np.abs(x).max(), 1e-6)) for x, y in pairs if x.size)


def _feeds(case: Case) -> dict[str, Any]:
    return {"x": floats(2, 4, seed=9) if case.takes == MATRIX else floats(2, 4, 6, 6, seed=9)}


@pytest.mark.parametrize("name", CASES)
def test_a_folded_network_gives_the_same(name: str) -> None:
    case = CASES[name]
    plain = canonicalize(load(_model(case)).ir)
    before = serialize(plain).data
    folded = FoldBatchNorm()(plain).model
    assert [node.op_type for node in folded.graph] == case.folded.split()
    assert _gap(plain, folded, _feeds(case), ["y"]) < 3e-6
    assert serialize(plain).data == before


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("conv", "gemm", "before", "matmul"))])
@pytest.mark.parametrize("what", ["weight", "bias"])
def test_another_weight_is_noticed(name: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(node: ir.Node, weights: Weights) -> Weights:
        return in_own_layout(node, Weights(**{**vars(weights), what: getattr(weights, what) * 1.001}))

    monkeypatch.setattr(folding, "in_own_layout", wrong)
    plain = canonicalize(load(_model(CASES[name])).ir)
    assert _gap(plain, FoldBatchNorm()(plain).model, _feeds(CASES[name]), ["y"]) > 3e-5


def test_names_that_are_asked_for_survive() -> None:
    plain = canonicalize(load(_model(CASES["between two convs"])).ir)
    assert _gap(plain, FoldBatchNorm()(plain).model, _feeds(CASES["conv"]), ["y", "d"]) < 3e-6
    kept = FoldBatchNorm(["c"])(plain).model
    assert [node.op_type for node in kept.graph] == ["Conv", "Conv"]
    assert _gap(plain, kept, _feeds(CASES["conv"]), ["y", "c"]) < 3e-6
    assert [node.op_type for node in FoldBatchNorm(["c", "d"])(plain).model.graph].count("BatchNormalization") == 1


def test_float16_stays_float16() -> None:
    text = """g (float16[n, 4, 6, 6] x) => (float16[n, c, h, w0] y) {
        c = Conv(x, w) d = BatchNormalization(c, s, b, m, v) y = Relu(d) }"""
    weights = {name: np.asarray(value, np.float16) for name, value in {"w": W, **_norm(6)}.items()}
    plain = canonicalize(load(model(text, weights)).ir)
    folded = FoldBatchNorm()(plain).model
    assert [node.op_type for node in folded.graph] == ["Conv", "Relu"]
    assert _gap(plain, folded, {"x": floats(2, 4, 6, 6).astype(np.float16)}, ["y"]) < 4e-3


def test_what_leaves_the_range_of_float16_is_not_folded() -> None:
    text = "g (float16[n, 4, 6, 6] x) => (float16[n, c, h, w0] y) { c = Conv(x, w) y = Mul(c, k) }"
    weights = {"w": W.astype(np.float16), "k": np.full((6, 1, 1), 60000, np.float16)}
    folded = FoldBatchNorm()(canonicalize(load(model(text, weights)).ir)).model
    assert [node.op_type for node in folded.graph] == ["Conv", "Mul"]


@pytest.mark.parametrize(
    ("name", "removed"),
    [
        ("mnist_burn", 1),
        ("ppocr_cls_paddle", 53),
        ("vit_cifar10_fp32", 3),
        ("vittracker_two_inputs", 12),
        ("resnet8_cifar10_keras_fp32", 0),
        ("squeezenet_caffe2_fp16", 0),
    ],
)
def test_real_networks(name: str, removed: int) -> None:
    network = read_network(shared_path("models", f"{name}.onnx"))
    folded = FoldBatchNorm()(network.model).model
    assert len(network.model.graph) - len(folded.graph) == removed
    feeds = random_inputs(network.inputs, network.batch or 2)
    assert _gap(network.model, folded, feeds, [network.score.name]) < 1e-5
