"""Padding, and other constants set beside what varies: relevance explains none of them.

Spread relevance goes to the other positions, with nothing lost; and padding before a layer is as the layer's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from onnxcam.autodiff.differentiate import gradient_name
from onnxcam.relevance.composite import Composite, LayerSelector
from onnxcam.relevance.rules import Box, Epsilon, Flat, LinearRule, ZPlus
from onnxcam.relevance.table import relevance_table
from tests.helpers.checks import Reference, assert_close, differentiate
from tests.helpers.models import model
from tests.oracles.dense_relevance import Floats, matrix, relevance

EXACT = ZPlus(stabilizer=0.0, bias=False)
RULES: tuple[LinearRule, ...] = (
    *(EXACT, ZPlus(stabilizer=0.25, bias=False), Epsilon(stabilizer=0.0, bias=False)),
    *(Box(stabilizer=0.0), Flat(stabilizer=0.0)),
)
SPREAD = Composite("spread", ((LayerSelector(), EXACT),), stabilizer=0.0, spread=True)
# A constant before a sum, a bias written as padding.
SEVEN = np.array(7.0)


def _composite(rule: LinearRule, spread: bool) -> Composite:
    return Composite("test", ((LayerSelector(), rule),), stabilizer=0.0, spread=spread)


@dataclass(frozen=True, eq=False)
class Case:
    """Nodes that make ``y`` of ``x``, an affine function whose shares are those of one linear operator."""

    name: str
    nodes: str
    y: tuple[int, ...]
    x: tuple[int, ...] = (2, 2, 4, 5)
    constants: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


def pads(*numbers: int) -> dict[str, npt.NDArray[Any]]:
    return {"p": np.array(numbers)}


CASES = (
    Case("zeros", "a = Pad(x, p) y = Conv(a, w, b)", (2, 3, 4, 5), constants=pads(0, 0, 1, 1, 0, 0, 1, 1)),
    Case("to one side", "a = Pad(x, p) y = Conv<strides = [2, 2]>(a, w, b)", (2, 3, 2, 2),
         constants=pads(0, 0, 0, 0, 0, 0, 1, 1)),
    Case("on two axes by name", "a = Pad(x, p, , axes) y = Conv(a, w, b)", (2, 3, 4, 5),
         constants={**pads(1, 1, 1, 1), "axes": np.array([2, -1])}),
    Case("another number", "a = Pad(x, p, seven) y = Conv(a, w, b)", (2, 3, 4, 5),
         constants={**pads(0, 0, 1, 1, 0, 0, 1, 1), "seven": SEVEN}),
    Case("cropped and padded", "a = Pad(x, p) y = Conv(a, w, b)", (2, 3, 3, 4),
         constants=pads(0, 0, -1, 2, 0, 0, 2, -1)),
    Case("cropped only", "a = Pad(x, p) y = Conv(a, w, b)", (2, 3, 1, 2), constants=pads(0, 0, -1, 0, 0, 0, 0, -1)),
    Case("twice", "a = Pad(x, p) d = Pad(a, p, seven) y = Conv<strides = [2, 1]>(d, w, b)", (2, 3, 3, 7),
         constants={**pads(0, 0, 1, 1, 0, 0, 1, 1), "seven": SEVEN}),
    Case("wider than the kernel", "a = Pad(x, p) y = Conv(a, w, b)", (2, 3, 10, 11),
         constants=pads(0, 0, 4, 4, 0, 0, 4, 4)),
    Case("the layer's own, wider than the kernel", "y = Conv<pads = [4, 3, 4, 3]>(x, w, b)", (2, 3, 10, 9)),
    Case("the layer's own, with holes", "y = Conv<pads = [4, 4, 4, 4], dilations = [4, 4]>(x, w, b)", (2, 3, 4, 5)),
    Case("added to the layer's own", "a = Pad(x, p) y = Conv<pads = [1, 1, 1, 1]>(a, w, b)", (2, 3, 6, 7),
         constants=pads(0, 0, 1, 1, 0, 0, 1, 1)),
    Case("channels last", "a = Pad(x, p) t = Transpose<perm = [0, 3, 1, 2]>(a) y = Conv(t, w, b)", (2, 3, 4, 4),
         (2, 4, 4, 2), pads(0, 1, 1, 0, 0, 1, 1, 0)),
    Case("with a parallel branch", "u, v = Split<axis = 1, num_outputs = 2>(x) a = Pad(u, p) d = Pad(v, q, seven) "
         "e = Concat<axis = 1>(a, d) y = Conv(e, w, b)", (2, 3, 4, 5),
         constants={**pads(0, 0, 1, 1, 0, 0, 1, 1), "q": np.array([0, 0, 2, 0, 0, 0, 0, 2]), "seven": SEVEN}),
    Case("as a summand of another branch", "u, v = Split<axis = 1, num_outputs = 2>(x) a = Pad(u, p) d = Pad(v, q) "
         "e = Add(a, d) y = Conv(e, w, b)", (2, 3, 4, 5), (2, 4, 4, 5),
         {**pads(0, 0, 1, 1, 0, 0, 1, 1), "q": np.array([0, 0, 2, 0, 0, 0, 0, 2])}),
    Case("zeros joined", "a = Concat<axis = 2>(x, zeros) y = Conv(a, w, b)", (2, 3, 4, 3),
         constants={"zeros": np.zeros((2, 2, 2, 5))}),
    Case("after a function", "a = Pad(x, p) d = Abs(a) y = Conv(d, w, b)", (2, 3, 4, 5),
         constants=pads(0, 0, 1, 1, 0, 0, 1, 1)),
    Case("channels", "a = Pad(x, p) f = Flatten(a) y = Gemm<transB = 1>(f, m)", (2, 3), (2, 2, 1, 3),
         {**pads(0, 1, 0, 0, 0, 2, 0, 0), "m": np.random.default_rng(4).normal(size=(3, 15))}),
    Case("a transposed convolution", "y = ConvTranspose<strides = [4, 4]>(x, w)", (2, 2, 15, 19), (2, 3, 4, 5)),
)  # fmt: skip
# Several numbers of x reach one position of the layer's input, or signs are lost: no one matrix has these shares.
MERGED = {"as a summand of another branch", "after a function"}


# What is cropped counts as the sample's own for the matrix, not for the layer: bounds are to be given.
CROPPED = {"cropped and padded", "cropped only"}
# Sums that can be negative are not spread.
SIGNED = (Epsilon(stabilizer=0.0, bias=False), Box(low=-3.0, high=3.0, stabilizer=0.0))


def _weights(case: Case) -> dict[str, npt.NDArray[Any]]:
    draw = np.random.default_rng(len(case.name))
    found = {"w": draw.normal(size=(3, 2, 3, 3)), "b": draw.normal(size=3), **case.constants}
    return {name: array for name, array in found.items() if f"{name})" in case.nodes or f"{name}," in case.nodes}


def _text(case: Case) -> str:
    return f"g (double{list(case.x)} x) => (double{list(case.y)} y) {{ {case.nodes} }}"


@cache
def _x(case: Case) -> Floats:
    """Return numbers of both signs, and a block of zeros, where sums are zero too."""
    x = np.random.default_rng(3).normal(size=case.x)
    if min(case.x[2:]) > 1:
        x[:, :, :3, :3] = 0
    return x


def _run(case: Case, composite: Composite, x: Floats) -> tuple[Floats, Floats]:
    """Return relevance of ``x``, and that of ``y``."""
    r = np.random.default_rng(5).normal(size=case.y).astype(np.float32)
    proto = differentiate(model(_text(case), _weights(case)), "y", ["x"], relevance_table(composite))
    found = Reference(proto)({"x": x, "cotangent": r})[gradient_name("x")]
    return np.asarray(found, np.float64), r.astype(np.float64)


def _dense(case: Case, rule: LinearRule, spread: bool, x: Floats, r: Floats) -> Floats:
    run = Reference(model(_text(case), _weights(case)))

    def one(sample: Floats) -> Floats:
        return np.asarray(run({"x": np.stack([sample, 0 * sample])})["y"][0], np.float64)

    m, b = matrix(one, x.shape[1:])
    return np.stack(
        [relevance(rule, m, b, x[i].ravel(), r[i].ravel(), spread).reshape(x[i].shape) for i in range(len(x))]
    )


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("case", [case for case in CASES if case.name not in MERGED], ids=lambda case: case.name)
def test_shares_are_those_of_the_dense_matrix(case: Case, rule: LinearRule, spread: bool) -> None:
    """A constant that padding brings is a bias, which takes no share by these rules."""
    if case.name in CROPPED and rule == Box(stabilizer=0.0):
        rule = replace(rule, low=-3.0, high=3.0)
    x = _x(case)
    found, r = _run(case, _composite(rule, spread), x)
    wanted = _dense(case, rule, spread and rule not in SIGNED, x, r)
    assert_close(found, wanted, 1e-6)
    with pytest.raises(AssertionError):
        assert_close(found * 1.001, wanted, 1e-6)


@pytest.mark.parametrize("rule", [EXACT, Box(stabilizer=0.0, bias=False), Flat(stabilizer=0.0)], ids=repr)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_spread_loses_nothing(case: Case, rule: LinearRule) -> None:
    x = _x(case)
    found, r = _run(case, _composite(rule, True), x)
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), r.reshape(2, -1).sum(axis=1), rtol=1e-9)


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap"])
@pytest.mark.parametrize("spread", [False, True])
def test_repeated_numbers_return_relevance_to_where_they_are_from(mode: str, spread: bool) -> None:
    text = f'a = Pad<mode = "{mode}">(x, p) y = Conv(a, w, b)'
    case = Case(mode, text, (2, 3, 5, 8), constants=pads(0, 0, 1, 3, 0, 0, 2, 2))
    x = _x(case)
    found, r = _run(case, _composite(EXACT, spread), x)
    width = ((1, 2), (3, 2))
    wide = np.pad(x, ((0, 0), (0, 0), *width), mode=mode)  # type: ignore[call-overload]
    plain = Case(mode, "y = Conv(x, w, b)", case.y, wide.shape)
    places = np.pad(np.arange(20).reshape(4, 5), width, mode=mode).ravel()  # type: ignore[call-overload]
    wanted = np.zeros((2, 2, 20))
    for i, one in enumerate(_dense(plain, EXACT, spread, wide, r)):
        for k, channel in enumerate(one.reshape(2, -1)):
            for place, value in zip(places, channel, strict=True):
                wanted[i, k, place] += value
    assert_close(found, wanted.reshape(x.shape), 1e-6)
    if spread:
        np.testing.assert_allclose(found.sum(), r.sum(), rtol=1e-9)


# Windows of two, of four by four numbers with one position of padding around them.
AVERAGES = {
    "of padding": "a = Pad(x, p) y = AveragePool<kernel_shape = [2, 2], strides = [2, 2]>(a)",
    "padding counts": "y = AveragePool<kernel_shape = [2, 2], strides = [2, 2], pads = [1, 1, 1, 1], "
    "count_include_pad = 1>(x)",
    "padding does not count": "y = AveragePool<kernel_shape = [2, 2], strides = [2, 2], pads = [1, 1, 1, 1]>(x)",
    "largest of padding": "a = Pad(x, p) y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)",
    "largest of low padding": "a = Pad(x, p, lowest) y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)",
}


@pytest.mark.parametrize("name", AVERAGES)
def test_zeros_of_a_window_share_and_padding_does_not(name: str) -> None:
    """Evenly where a window is averaged; the first takes all where the largest is."""
    constants = {**pads(0, 0, 1, 1, 0, 0, 1, 1), "lowest": np.array(-np.inf)}
    case = Case(name, AVERAGES[name], (1, 1, 3, 3), (1, 1, 4, 4), constants)
    found, r = _run(case, SPREAD, np.zeros(case.x))
    wanted = np.zeros((6, 6))
    for i, j in np.ndindex(3, 3):
        window = [(2 * i + k, 2 * j + n) for k, n in np.ndindex(2, 2)]
        inside = [place for place in window if min(place) > 0 and max(place) < 5]
        for place in inside[:1] if "largest" in name else inside:
            wanted[place] += r[0, 0, i, j] / (1 if "largest" in name else len(inside))
    assert_close(found[0, 0], wanted[1:5, 1:5], 1e-9)


def test_a_long_chain_of_sums_after_padding() -> None:
    """Masks are found without recursion."""
    steps = " ".join(f"b{i} = Add(b{i - 1}, a)" if i else "b0 = Relu(a)" for i in range(300))
    case = Case("", f"a = Pad(x, p) {steps} y = Conv(b299, w, b)", (2, 3, 4, 5), constants=pads(0, 0, 1, 1, 0, 0, 1, 1))
    found, r = _run(case, SPREAD, np.abs(_x(case)))
    np.testing.assert_allclose(found.sum(), r.sum(), rtol=1e-9)
