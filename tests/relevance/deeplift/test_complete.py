"""DeepLIFT's contributions sum to the change of the score, for every operator; its rule of maxima is captum's."""

from __future__ import annotations

from itertools import product
from typing import Any

import captum.attr
import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
import torch

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.relevance.deeplift.baseline import with_baseline
from onnxcam.relevance.deeplift.table import deeplift_table
from tests.autodiff.samples import SAMPLES
from tests.helpers.between import LAYER, after_layer
from tests.helpers.checks import OnnxRuntime, Reference, cotangent_like
from tests.helpers.models import model, rng
from tests.helpers.sample import Array, Sample


def picks_samples(sample: Sample) -> bool:
    """Whether a node picks some numbers along the first axis, that of samples."""
    return sample.op == "TopK" and sample.attributes["axis"] in (0, -np.ndim(next(iter(sample.variables.values()))))


# Documented: branches keep their gradient, and so does what picks some of the samples.
_NOT_EXACT = {"If", "Scan"}
# Samples of each operator in the usual run; the others are in the slow one.
_EACH = 1
_EXACT = [sample for sample in SAMPLES if sample.op not in _NOT_EXACT and not picks_samples(sample)]
_FIRST = [s for s in _EXACT if s in [other for other in _EXACT if other.op == s.op][:_EACH]]


def contributions(proto: onnx.ModelProto, feeds: dict[str, Array], layer: str, score: str, exact: bool) -> Any:
    """Return the contributions of a layer to the weighted result, and the change of that result."""
    engine = Reference if exact else OnnxRuntime
    plain = canonicalize(ir.from_proto(proto))
    given = add_gradients(with_baseline(plain, layer, score), score, [layer], table=deeplift_table())
    forward = engine(ir.to_proto(plain))
    here, there = (forward(feeds | {layer: value})[score] for value in (feeds[layer], 0 * feeds[layer]))
    cotangent = cotangent_like(here)
    multipliers = engine(ir.to_proto(given))(feeds | {"cotangent": cotangent})[gradient_name(layer)]
    change = float((cotangent * (here.astype(np.float64) - there)).sum())
    return multipliers.astype(np.float64) * feeds[layer], change, cotangent


def check_sum(sample: Sample) -> None:
    """Compare the sum of contributions with the change of the result."""
    exact = sample.oracle == "reference"
    dtype = np.float64 if exact else np.float32
    proto, layer = after_layer(sample, dtype)
    feeds = {name: x for name, x in sample.feeds(dtype).items() if name not in sample.variables}
    shares, change, _ = contributions(proto, feeds | {LAYER: layer}, LAYER, sample.score, exact)
    # The reference evaluator computes GridSample and LRN with constants of single precision.
    assert abs(shares.sum() - change) <= (1e-7 if exact else 1e-5) * (abs(shares).sum() + abs(change))


@pytest.mark.parametrize("sample", _FIRST, ids=lambda sample: sample.name)
def test_every_operator_is_complete(sample: Sample) -> None:
    check_sum(sample)


@pytest.mark.slow
@pytest.mark.parametrize("sample", _EXACT, ids=lambda sample: sample.name)
def test_every_sample_is_complete(sample: Sample) -> None:
    check_sum(sample)


def test_what_follows_a_loop_or_a_branch_has_a_baseline() -> None:
    """A body that the copy at the baseline shares with its original would make one graph of two."""
    for sample in [sample for sample in SAMPLES if sample.op in _NOT_EXACT]:
        proto, layer = after_layer(sample, np.float32)
        feeds = {name: x for name, x in sample.feeds(np.float32).items() if name not in sample.variables}
        exact = sample.oracle == "reference"
        shares, _, _ = contributions(proto, feeds | {LAYER: layer}, LAYER, sample.score, exact)
        assert np.isfinite(shares).all()


HEADS = {
    "attention": """
        q = MatMul (a, w1)
        k = MatMul (a, w2)
        t = Transpose <perm = [0, 2, 1]> (k)
        scores = MatMul (q, t)
        p = Softmax (scores)
        mixed = MatMul (p, a)
        norm = LayerNormalization <axis = -1> (mixed, one)
        y = ReduceMean <keepdims = 0> (norm, axis)""",
    "squeeze and excitation": """
        mean = ReduceMean (a, axis)
        hidden = MatMul (mean, w1)
        gate = HardSigmoid (hidden)
        gated = Mul (a, gate)
        y = ReduceMax <keepdims = 0> (gated, axis)""",
    "mask by a comparison": """
        moved = Add (a, one)
        zero = Constant <value = double {0}> ()
        above = Greater (moved, zero)
        mask = CastLike (above, a)
        kept = Mul (moved, mask)
        y = ReduceMean <keepdims = 0> (kept, axis)""",
    "largest of two": """
        one_way = MatMul (a, w1)
        other = MatMul (a, w2)
        most = Max (one_way, other)
        clipped = Clip (most, low, high)
        y = ReduceMean <keepdims = 0> (clipped, axis)""",
    "norm written out": """
        square = Mul (a, a)
        mean = ReduceMean (square, axis)
        eps = Constant <value = double {1e-05}> ()
        spread = Add (mean, eps)
        root = Sqrt (spread)
        factor = Reciprocal (root)
        z = Mul (a, factor)
        mixed = MatMul (z, w1)
        y = ReduceMean <keepdims = 0> (mixed, axis)""",
    "cosine": """
        norm = LpNormalization <axis = 2> (a)
        mixed = MatMul (norm, w1)
        y = ReduceMean <keepdims = 0> (mixed, axis)""",
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_complete_for_each_sample(name: str) -> None:
    """From a baseline of zeros, as LIFT-CAM has it: where normalisations divide by next to nothing."""
    draw = rng(3)
    stored: dict[str, npt.NDArray[Any]] = {"w1": draw.normal(size=(4, 4)), "w2": draw.normal(size=(4, 4))}
    stored |= {"one": np.ones(4), "axis": np.array([1]), "low": np.array(-0.3), "high": np.array(1.5)}
    used = {key: array for key, array in stored.items() if key in HEADS[name]}
    proto = model(f"g (double[n, 5, 4] a) => (double[n, 4] y) {{{HEADS[name]}\n}}", used)
    a = draw.normal(size=(3, 5, 4))
    shares, _, cotangent = contributions(proto, {"a": a}, "a", "y", exact=True)
    run = Reference(ir.to_proto(canonicalize(ir.from_proto(proto))))
    for index in range(3):
        one = a[index : index + 1]
        wanted = (cotangent[index] * (run({"a": one})["y"] - run({"a": 0 * one})["y"])).sum()
        assert abs(shares[index].sum() - wanted) < 1e-9 * abs(shares[index]).sum()
        assert abs(shares[index]).sum() < 100 * abs(wanted) + 100  # nothing is divided by next to nothing


WINDOWS = [
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 3], "strides": [1, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [2, 2], "strides": [1, 1], "dilations": [2, 2]},
    {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1], "ceil_mode": 1},
]


@pytest.mark.parametrize("attributes", WINDOWS, ids=str)
@pytest.mark.parametrize("ties", [False, True])
def test_multipliers_of_a_pool_equal_a_loop_over_windows(attributes: dict[str, Any], ties: bool) -> None:
    text = "".join(f", {key} = {value}" for key, value in attributes.items())[2:]
    graph = f"""g (double[2, 2, 7, 6] layer) => (double[2, 2, h, w] y) {{
        x = Add (layer, there)
        y = MaxPool <{text}> (x)
    }}"""
    draw = rng(4)
    there, x = draw.normal(size=(2, 2, 2, 7, 6))
    if ties:
        there, x = there.round(), x.round()
    proto = model(graph, {"there": there})
    shares, change, cotangent = contributions(proto, {LAYER: x - there}, LAYER, "y", exact=True)
    assert abs(shares.sum() - change) < 1e-12
    assert_same(shares, by_windows(x, there, cotangent, attributes))


def by_windows(x: Array, there: Array, cotangent: Array, attributes: dict[str, Any]) -> Array:
    """Return the contributions, window by window: each change counts at the first largest number of one end."""
    shares = np.zeros_like(x)
    kernel, strides = attributes["kernel_shape"], attributes["strides"]
    pads, dilations = attributes.get("pads", [0, 0, 0, 0]), attributes.get("dilations", [1, 1])
    for n, c, row, column in np.ndindex(cotangent.shape):
        starts = (row * strides[0] - pads[0], column * strides[1] - pads[1])
        reach = product(*(range(s, s + k * d, d) for s, k, d in zip(starts, kernel, dilations, strict=True)))
        inside = [(n, c, *at) for at in reach if all(0 <= p < s for p, s in zip(at, x.shape[2:], strict=True))]
        now, before = (max(inside, key=values.__getitem__) for values in (x, there))
        change = x[now] - there[before]
        shares[now if change > 0 else before] += cotangent[n, c, row, column] * change
    return shares


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
def test_a_network_with_pools_equals_captum() -> None:
    """Where captum has its rules: it drops one of two modules that follow each other, and windows that overlap."""
    torch.manual_seed(2)
    nn = torch.nn
    head = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(4, 5, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(20, 3)),
    ).double()
    a = rng(5).normal(size=(2, 3, 8, 8))
    explain = captum.attr.DeepLift(head).attribute
    each = [explain(torch.tensor(one[None], requires_grad=True), target=1).detach() for one in a]
    parts = {f"{kind}{at}": getattr(head[at], kind) for at in (0, 2, 4, 7) for kind in ("weight", "bias")}
    parts |= {name: value[1:2] for name, value in parts.items() if name.endswith("7")}
    graph = """g (double[n, 3, 8, 8] a) => (double[n, 1] y) {
        c1 = Conv <pads = [1, 1, 1, 1]> (a, weight0, bias0)
        m1 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c1)
        c2 = Conv <pads = [1, 1, 1, 1]> (m1, weight2, bias2)
        r = Relu (c2)
        c3 = Conv <pads = [1, 1, 1, 1]> (r, weight4, bias4)
        m2 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (c3)
        flat = Flatten (m2)
        y = Gemm <transB = 1> (flat, weight7, bias7)
    }"""
    proto = model(graph, {name: value.detach().numpy() for name, value in parts.items()})
    shares, _, cotangent = contributions(proto, {"a": a}, "a", "y", exact=True)
    assert_same(shares / cotangent[:, :, None, None], np.concatenate(each))


def assert_same(found: Array, wanted: Array) -> None:
    assert abs(wanted).max() > 0
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12 * abs(wanted).max())
