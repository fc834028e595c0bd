"""Every rule at every linear operator, against the dense matrix of the operator and the rule's formula in loops."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper

from onnxcam.autodiff.differentiate import gradient_name
from onnxcam.relevance.composite import Composite, LayerSelector
from onnxcam.relevance.rules import AlphaBeta, Box, Epsilon, Flat, Gamma, LinearRule, WSquare, ZPlus, find_rule, rules
from onnxcam.relevance.table import relevance_table
from tests.helpers.checks import OnnxRuntime, Reference, assert_close, differentiate
from tests.oracles.dense_relevance import Floats, matrix, relevance

RULES: tuple[LinearRule, ...] = (
    Epsilon(),
    Epsilon(stabilizer=0.25),
    find_rule("zero"),
    find_rule("zero", bias=False),
    ZPlus(),
    ZPlus(stabilizer=0.0, bias=False),
    AlphaBeta(),
    AlphaBeta(alpha=1.5, beta=0.5, stabilizer=1e-2, bias=False),
    AlphaBeta(alpha=1, beta=0),
    Gamma(),
    Gamma(gamma=2.0, stabilizer=1e-3, bias=False),
    Box(),
    Box(low=-4.0, high=5.0, stabilizer=0.0, bias=False),
    WSquare(),
    Flat(),
)


@dataclass(frozen=True, eq=False)
class Case:
    """One linear operator: ``x`` is its data, of two samples, and the rest is fixed."""

    op: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    b: tuple[int, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    place: int = 0
    added: bool = False

    @property
    def name(self) -> str:
        return (
            f"{self.op}{len(self.x)}-" + ",".join(f"{k}={v}" for k, v in self.attributes.items()) + "+b" * bool(self.b)
        )


CASES = (
    Case("Conv", (2, 2, 7), (3, 2, 3), (3,), {"pads": [1, 1]}),
    Case("Conv", (2, 4, 5, 6), (6, 2, 3, 2), (6,), {"group": 2, "strides": [2, 1], "pads": [1, 0, 1, 1]}),
    Case("Conv", (2, 3, 5, 5), (3, 1, 3, 3), (), {"group": 3, "dilations": [2, 2], "pads": [2, 2, 2, 2]}),
    Case("Conv", (2, 2, 5, 5), (3, 2, 3, 3), (3,), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    Case("Conv", (2, 2, 3, 4, 3), (2, 2, 2, 2, 2), (2,), {"strides": [1, 2, 1]}),
    Case("ConvTranspose", (2, 2, 4), (2, 3, 3), (3,), {"strides": [2]}),
    Case("ConvTranspose", (2, 4, 3, 3), (4, 2, 3, 3), (4,), {"strides": [2, 2], "group": 2, "pads": [1, 1, 1, 1]}),
    Case("Gemm", (2, 5), (4, 5), (4,), {"transB": 1}),
    Case("Gemm", (2, 5), (5, 4), (1,), {"alpha": 0.5, "beta": 2.0}),
    Case("Gemm", (5, 2), (5, 4), (), {"transA": 1}),
    Case("MatMul", (2, 5), (5, 4)),
    Case("MatMul", (2, 3, 5), (5, 4), (4,), added=True),
    Case("MatMul", (2, 5, 3), (4, 5), place=1),
)


def _composite(rule: LinearRule) -> Composite:
    return Composite("test", ((LayerSelector(), rule),))


@cache
def _arrays(case: Case, sign: str) -> tuple[Floats, Floats, Floats]:
    draw = np.random.default_rng(len(case.name))
    x = draw.normal(size=case.x)
    return np.abs(x) if sign == "positive" else x, draw.normal(size=case.w), draw.normal(size=case.b)


def _model(case: Case, x: Floats, w: Floats, b: Floats, kind: npt.DTypeLike, sign: str) -> onnx.ModelProto:
    code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    read = "r" if sign == "positive" else "x"
    nodes = [helper.make_node("Relu", ["x"], ["r"])] if sign == "positive" else []
    given = [read, "w"] if case.place == 0 else ["w", read]
    inner = bool(case.b) and not case.added
    nodes.append(
        helper.make_node(case.op, [*given, *(["b"] if inner else [])], ["m" if case.added else "y"], **case.attributes)
    )
    if case.added:
        nodes.append(helper.make_node("Add", ["m", "b"], ["y"]))
    weights = [("w", w)] + ([("b", b)] if case.b else [])
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", code, list(x.shape))],
        [helper.make_tensor_value_info("y", code, None)],
        [numpy_helper.from_array(array.astype(kind), name) for name, array in weights],
    )
    return onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    )


@cache
def _dense(case: Case, sign: str) -> tuple[Floats, Floats, Floats, Floats]:
    """Return x ``[samples, inputs]``, r ``[samples, results]``, the matrix and the constant of a case."""
    x, w, b = _arrays(case, sign)
    run = Reference(_model(case, x, w, b, np.float64, "any"))
    axis = 1 if case.attributes.get("transA") else 0

    def one(sample: Floats) -> Floats:
        """Run one sample, the others being zeros, and keep its results."""
        batch = np.zeros(case.x)
        np.moveaxis(batch, axis, 0)[0] = sample
        return np.asarray(run({"x": batch})["y"][0], np.float64)

    samples = np.moveaxis(x, axis, 0)
    m, constant = matrix(one, samples.shape[1:])
    y = np.asarray(run({"x": x})["y"])
    r = np.random.default_rng(9).normal(size=y.shape).astype(np.float32).astype(np.float64)
    return samples.reshape(2, -1), r, m, constant


def _found(case: Case, rule: LinearRule, kind: npt.DTypeLike, sign: str) -> Floats:
    x, w, b = _arrays(case, sign)
    model = differentiate(_model(case, x, w, b, kind, sign), "y", ["x"], relevance_table(_composite(rule)))
    run = Reference(model) if kind == np.float64 else OnnxRuntime(model)
    r = _dense(case, sign)[1]
    found = run({"x": x.astype(kind), "cotangent": r.astype(np.float32)})[gradient_name("x")]
    return np.moveaxis(np.asarray(found, np.float64), 1 if case.attributes.get("transA") else 0, 0).reshape(2, -1)


def _wanted(case: Case, rule: LinearRule, sign: str) -> Floats:
    x, r, m, b = _dense(case, sign)
    flat = r.reshape(2, -1)
    return np.stack([relevance(rule, m, b, x[i], flat[i]) for i in range(2)])


@pytest.mark.parametrize("sign", ["any", "positive"])
@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_rule_equals_its_formula_and_nothing_near_it(case: Case, rule: LinearRule, sign: str) -> None:
    wanted = _wanted(case, rule, sign)
    found = _found(case, rule, np.float64, sign)
    assert_close(found, wanted, 1e-6)
    with pytest.raises(AssertionError):
        assert_close(found * 1.001, wanted, 1e-6)
    if rule.stabilizer and rule.name != "epsilon":
        # Without a stabilizer that counts, float32 is no further off than its own rounding of the sums.
        assert_close(_found(case, rule, np.float32, sign), wanted, 1e-3)


def test_every_rule_is_tested_with_every_field_varied() -> None:
    for name, cls in rules().items():
        tested = [rule for rule in RULES if rule.name == name]
        # Flat has no bias, whatever its field says, and no sum of its is small.
        fields = {} if name in ("flat", "w-square") else {field.name for field in dataclasses.fields(cls)}
        varied = {field for field in fields if any(getattr(rule, field) != getattr(cls(), field) for rule in tested)}
        assert tested
        assert varied == set(fields)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_a_description_builds_the_same_rule(rule: LinearRule) -> None:
    options = rule.describe()
    assert find_rule(options.pop("rule"), **options) == rule


@pytest.mark.parametrize("rule", ["zero", "z-plus", "gamma", "box", "w-square", "flat"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_bias_and_stabilizer_nothing_is_lost(case: Case, rule: str) -> None:
    found = _found(case, find_rule(rule, stabilizer=0.0, bias=False), np.float64, "any")
    x, r, m, _ = _dense(case, "any")
    r = r.reshape(2, -1)
    if rule == "z-plus":  # a result that nothing raises passes nothing on
        r = np.stack([np.where(np.maximum(m * x[i], 0).sum(axis=1) > 0, r[i], 0) for i in range(2)])
    np.testing.assert_allclose(found.sum(axis=1), r.sum(axis=1), rtol=1e-6)
