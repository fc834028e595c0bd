"""How relevance passes operators without weights: small graphs, and the relevance that each has to return, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from onnxcam.autodiff.differentiate import gradient_name
from onnxcam.errors import UnsupportedError
from onnxcam.relevance.composite import Composite, composites
from onnxcam.relevance.table import MOVEMENT, relevance_table
from tests.helpers.checks import Reference, assert_close, differentiate
from tests.helpers.models import model

Floats = npt.NDArray[np.float64]
EPSILON = 1e-6


def share(r: Floats, z: Floats) -> Floats:
    """Divide with the composite's stabilizer."""
    return np.asarray(r / (z + np.where(z < 0, -EPSILON, EPSILON)))


@dataclass(frozen=True, eq=False)
class Case:
    """Nodes that make ``y`` of ``x`` and perhaps of ``u``, and the relevance of ``x``."""

    name: str
    nodes: str
    wanted: Callable[..., Any]
    x: tuple[int, ...] = (2, 3, 4, 4)
    u: tuple[int, ...] = ()
    y: tuple[int, ...] = ()
    weights: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    composite: str = "epsilon-plus"


def softmax(x: Floats) -> Floats:
    powers = np.exp(x)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def pooled(x: Floats) -> Floats:
    return np.asarray(x.reshape(2, 3, 2, 2, 2, 2).mean(axis=(3, 5)))


def spread(x: Floats) -> Floats:
    return x.repeat(2, axis=2).repeat(2, axis=3)


def largest(x: Floats, r: Floats, positive: bool) -> Floats:
    windows = x.reshape(2, 3, 2, 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(2, 3, 2, 2, 4)
    hot = np.eye(4)[windows.argmax(axis=-1)] * r[..., None] * ((windows.max(axis=-1) > 0) | (not positive))[..., None]
    return np.asarray(hot.reshape(2, 3, 2, 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(x.shape))


def centred(x: Floats, r: Floats, scale: Any = 1.0, shift: Any = 0.0, axes: Any = -1, epsilon: float = 1e-5) -> Floats:
    """AttnLRP at ``y = scale (x - mean) / deviation + shift``: the deviation is fixed, the shift takes its share."""
    deviation = np.sqrt(x.var(axis=axes, keepdims=True) + epsilon)
    y = scale * (x - x.mean(axis=axes, keepdims=True)) / deviation + shift
    s = share(r, y) * scale / deviation
    return np.asarray(x * (s - s.mean(axis=axes, keepdims=True)))


def grouped(x: Floats, r: Floats, scale: Floats, shift: Floats) -> Floats:
    """The same for two groups of two channels."""
    one, two, three, four = (np.broadcast_to(a, x.shape).reshape(len(x), 2, -1) for a in (x, r, scale, shift))
    return centred(one, two, three, four).reshape(x.shape)


def attention(x: Floats, u: Floats, r: Floats) -> Floats:
    return np.asarray(x * (share(r, x @ u) / 2 @ u.transpose(0, 2, 1)))


C = np.array([2.0, -0.5, 1.5])
B = np.array([0.3, 0.8, -0.6])
PLACES = np.linspace(-1, 2, 15).reshape(1, 5, 3)
# Up to the deviation; what follows divides by it, scales and shifts.
WRITTEN = "m = ReduceMean(x, last) d = Sub(x, m) p = Pow(d, two) v = ReduceMean(p, last) s = Sqrt(v)"
AFFINE = {"two": np.array(2.0), "last": np.array([-1]), "c": C, "b": B}
CASES = (
    Case("add", "y = Add(x, u)", lambda x, u, r: x * share(r, x + u), u=(2, 3, 4, 4)),
    Case("a wide sum", "y = Add(x, u)", lambda x, u, r: x * share(r, x + u).sum((2, 3), keepdims=True),
         (2, 3, 1, 1), (2, 3, 4, 4)),
    Case("subtract", "y = Sub(u, x)", lambda x, u, r: -x * share(r, u - x), u=(2, 3, 4, 4)),
    Case("sum", "y = Sum(x, u, x)", lambda x, u, r: 2 * x * share(r, 2 * x + u), u=(2, 3, 4, 4)),
    Case("a constant is a bias", "y = Add(c, x)", lambda x, r: r, weights={"c": C.reshape(3, 1, 1)}),
    Case("a constant factor", "y = Mul(x, c)", lambda x, r: r, weights={"c": C.reshape(3, 1, 1)}),
    Case("squeeze and excitation", "m = GlobalAveragePool(u) s = Sigmoid(m) y = Mul(s, x)",
         lambda x, u, r: r, u=(2, 3, 4, 4)),
    Case("its gate gets nothing", "m = GlobalAveragePool(x) s = Sigmoid(m) y = Mul(s, u) z = Add(y, x)",
         lambda x, u, r: x * share(r, x + u / (1 + np.exp(-x.mean((2, 3), keepdims=True)))), u=(2, 3, 4, 4)),
    Case("a gate of the same size", "s = Sigmoid(u) y = Mul(s, x)", lambda x, u, r: r, u=(2, 3, 4, 4)),
    Case("x sigmoid(x)", "s = Sigmoid(x) y = Mul(x, s)", lambda x, r: r),
    Case("gelu written out", "a = Div(x, two) e = Erf(a) f = Add(e, one) h = Mul(x, half) y = Mul(h, f)",
         lambda x, r: r, weights={"two": np.array(2**0.5), "one": np.array(1.0), "half": np.array(0.5)}),
    Case("hard swish written out", "a = Add(x, three) c = Clip(a, zero, six) g = Div(c, six) y = Mul(x, g)",
         lambda x, r: r, weights={"three": np.array(3.0), "zero": np.array(0.0), "six": np.array(6.0)}),
    Case("a softsign is a gate, too", "s = Softsign(u) y = Mul(s, x)", lambda x, u, r: r, u=(2, 3, 4, 4)),
    Case("so is an error function", "s = Erf(u) y = Mul(x, s)", lambda x, u, r: r, u=(2, 3, 4, 4)),
    Case("circular and hyperbolic functions", "a = Atan(x) b = Tan(a) c = Asinh(b) y = Sinh(c)", lambda x, r: r),
    Case("unpooled", "y = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(x, i)", lambda x, r: r[:, :, ::2, ::2],
         (1, 1, 2, 2), y=(1, 1, 4, 4), weights={"i": np.array([[[[0, 2], [8, 10]]]])}),
    Case("equals share evenly", "y = Mul(x, u)", lambda x, u, r: r / 2, u=(2, 3, 4, 4)),
    Case("a square", "y = Mul(x, x)", lambda x, r: r),
    Case("a divisor", "e = Exp(u) y = Div(x, e)", lambda x, u, r: r, u=(2, 3, 4, 4)),
    Case("activations", "a = Relu(x) b = Tanh(a) y = LeakyRelu(b)", lambda x, r: r),
    Case("a normalisation", "y = BatchNormalization(x, c, c, c, v)", lambda x, r: r, weights={"c": C, "v": C**2}),
    Case("layer normalisation", "y = LayerNormalization(x, c, b)", lambda x, r: centred(x, r, C, B), (2, 5, 3),
         weights={"c": C, "b": B}),
    Case("layer normalisation without a shift", "y = LayerNormalization(x, c)", lambda x, r: centred(x, r, C),
         (2, 5, 3), weights={"c": C}),
    Case("layer normalisation of several axes", "y = LayerNormalization<axis = 1>(x, c)",
         lambda x, r: centred(x, r, C, axes=(1, 2)), (2, 5, 3), weights={"c": np.tile(C, (5, 1))}),
    Case("layer normalisation under z+", "y = LayerNormalization(x, c, b)", lambda x, r: r, (2, 5, 3),
         weights={"c": C, "b": B}, composite="z-plus"),
    Case("layer normalisation in FG-CAM", "y = LayerNormalization(x, c, b)", lambda x, r: r, (2, 5, 3),
         weights={"c": C, "b": B}, composite="fine-grained"),
    Case("layer normalisation written out", f"{WRITTEN} n = Div(d, s) g = Mul(n, c) y = Add(g, b)",
         lambda x, r: centred(x, r, C, B, epsilon=0), (2, 5, 3), weights=AFFINE),
    Case("scaled before it is divided", f"{WRITTEN} g = Mul(c, d) n = Div(g, s) y = Sub(n, b)",
         lambda x, r: centred(x, r, C, -B, epsilon=0), (2, 5, 3), weights=AFFINE),
    Case("times the inverse", f"{WRITTEN} i = Reciprocal(s) f = Mul(i, c) g = Mul(d, f) y = Add(b, g)",
         lambda x, r: centred(x, r, C, B, epsilon=0), (2, 5, 3), weights=AFFINE),
    Case("written out without scale and shift", f"{WRITTEN} y = Div(d, s)",
         lambda x, r: centred(x, r, epsilon=0), (2, 5, 3), weights=AFFINE),
    Case("written out under z+", f"{WRITTEN} n = Div(d, s) g = Mul(n, c) y = Add(g, b)",
         lambda x, r: r, (2, 5, 3), weights=AFFINE, composite="z-plus"),
    Case("a shift after a reshape", "n = LayerNormalization(x, one) m = Reshape(n, to) g = Mul(m, c) y = Add(g, b)",
         lambda x, r: centred(x, r.reshape(x.shape), np.repeat(C, 4), np.repeat(B, 4)), (2, 1, 12), y=(2, 3, 4),
         weights={"one": np.ones(12), "to": np.array([2, 3, 4]), "c": C[:, None], "b": B[:, None]}),
    Case("instance normalisation", "y = InstanceNormalization(x, c, b)",
         lambda x, r: centred(x, r, C[:, None, None], B[:, None, None], (2, 3)), weights={"c": C, "b": B}),
    Case("group normalisation", "y = GroupNormalization<num_groups = 2>(x, c, b)",
         lambda x, r: grouped(x, r, np.repeat(C[:2], 2)[:, None, None], np.repeat(B[:2], 2)[:, None, None]),
         (2, 4, 3, 3), weights={"c": C[:2], "b": B[:2]}),
    Case("root mean square", "q = Mul(x, x) m = ReduceMean(q, last) s = Sqrt(m) n = Div(x, s) y = Mul(n, c)",
         lambda x, r: r, (2, 5, 3), weights=AFFINE),
    Case("root mean square, its inverse scaled first",
         "q = Mul(x, x) m = ReduceMean(q, last) s = Sqrt(m) i = Reciprocal(s) f = Mul(i, c) y = Mul(x, f)",
         lambda x, r: r, (2, 5, 3), weights=AFFINE),
    Case("positions take their share", "h = MatMul(x, eye) y = Add(h, p)",
         lambda x, r: x * share(x * share(r, x + PLACES), x),
         (2, 5, 3), weights={"eye": np.eye(3), "p": PLACES}),
    Case("positions under z+", "h = Identity(x) y = Add(h, p)", lambda x, r: r,
         (2, 5, 3), weights={"p": PLACES}, composite="z-plus"),
    Case("an image that is subtracted before the first layer takes none", "y = Sub(x, p)", lambda x, r: r,
         (2, 5, 3), weights={"p": PLACES}),
    Case("average pool", "y = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(x)",
         lambda x, r: x * spread(share(r, pooled(x))) / 4, y=(2, 3, 2, 2)),
    Case("rectified average pool", "y = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(x)",
         lambda x, r: np.maximum(x, 0) * spread(r / np.maximum(pooled(np.maximum(x, 0)), 1e-300)) / 4,
         y=(2, 3, 2, 2), composite="fine-grained"),
    Case("global average pool", "y = GlobalAveragePool(x)",
         lambda x, r: x * share(r, x.mean((2, 3), keepdims=True)) / 16, y=(2, 3, 1, 1)),
    Case("mean", "y = ReduceMean<keepdims = 0>(x, places)",
         lambda x, r: x * share(r, x.mean((2, 3)))[:, :, None, None] / 16, y=(2, 3),
         weights={"places": np.array([2, 3])}),
    Case("max pool", "y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)",
         lambda x, r: largest(x, r, False), y=(2, 3, 2, 2)),
    Case("rectified max pool", "y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)",
         lambda x, r: largest(x, r, True), y=(2, 3, 2, 2), composite="fine-grained"),
    Case("softmax", "y = Softmax<axis = -1>(x)", lambda x, r: x * (r - softmax(x) * r.sum(-1, keepdims=True))),
    Case("attention", "y = MatMul(x, u)", attention, (2, 4, 5), (2, 5, 3), (2, 4, 3)),
    Case("concat", "y = Concat<axis = 1>(u, x)", lambda x, u, r: r[:, 3:], u=(2, 3, 4, 4), y=(2, 6, 4, 4)),
    Case("split", "a, b = Split<axis = 1>(x, parts) y = Relu(b)",
         lambda x, r: np.concatenate([0 * x[:, :1], r], axis=1), y=(2, 2, 4, 4), weights={"parts": np.array([1, 2])}),
    Case("slice", "y = Slice(x, one, three, one)",
         lambda x, r: np.pad(r, ((0, 0), (1, 0), (0, 0), (0, 0))), y=(2, 2, 4, 4),
         weights={"one": np.array([1]), "three": np.array([3])}),
    Case("reshape and transpose", "a = Reshape(x, s) y = Transpose<perm = [0, 2, 1]>(a)",
         lambda x, r: r.transpose(0, 2, 1).reshape(x.shape), y=(2, 16, 3), weights={"s": np.array([0, 3, 16])}),
    Case("padding", "y = Pad(x, p)", lambda x, r: r[:, :, 1:5, 2:6], y=(2, 3, 5, 6),
         weights={"p": np.array([0, 0, 1, 2, 0, 0, 0, 0])}),
    Case("gather", "y = Gather<axis = 1>(x, i)",
         lambda x, r: np.stack([r[:, 1], 0 * r[:, 0], r[:, 0] + r[:, 2]], axis=1), weights={"i": np.array([2, 0, 2])}),
    Case("resize", "y = Resize<mode = \"nearest\">(x, , scales)",
         lambda x, r: x * share(r, spread(x)).reshape(2, 3, 4, 2, 4, 2).sum((3, 5)), y=(2, 3, 8, 8),
         weights={"scales": np.array([1, 1, 2, 2], np.float32)}),
)  # fmt: skip


def _run(case: Case) -> tuple[Floats, Floats]:
    """Return the relevance of x that is found, and that is wanted."""
    draw = np.random.default_rng(3)
    feeds = {"x": draw.normal(size=case.x)} | ({"u": draw.normal(size=case.u)} if case.u else {})
    end = "z" if " z = " in case.nodes else "y"
    inputs = ", ".join(f"double[{', '.join(map(str, array.shape))}] {name}" for name, array in feeds.items())
    shape = case.y or case.u or case.x
    text = f"g ({inputs}) => (double[{', '.join(map(str, shape))}] {end}) {{ {case.nodes} }}"
    r = draw.normal(size=shape).astype(np.float32)
    table = relevance_table(composites()[case.composite])
    found = Reference(differentiate(model(text, case.weights), end, ["x"], table))({**feeds, "cotangent": r})
    wanted = case.wanted(*feeds.values(), r.astype(np.float64))
    return np.asarray(found[gradient_name("x")]), np.broadcast_to(wanted, case.x)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_operator_hands_back_its_relevance_and_nothing_near_it(case: Case) -> None:
    found, wanted = _run(case)
    assert_close(found, wanted, 1e-9)
    with pytest.raises(AssertionError):
        assert_close(found * 1.001, wanted, 1e-9)


def test_an_operator_that_is_not_listed_is_refused() -> None:
    text = "g (float[2, 3, 4, 4] x) => (float[2, 3, 1, 1] y) { y = GlobalLpPool(x) }"
    with pytest.raises(UnsupportedError, match="GlobalLpPool"):
        differentiate(model(text), "y", ["x"], relevance_table(composites()["zero"]))


def test_movement_has_a_gradient_rule_each() -> None:
    table = relevance_table(Composite.parse("zero"))
    assert {name for name in MOVEMENT if ("", name) not in table} <= {"CenterCropPad", "MaxRoiPool"}
