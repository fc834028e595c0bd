"""What is said to have no gradient rule is what differentiation then misses."""

from __future__ import annotations

import re
from types import MappingProxyType

import numpy as np
import onnx
import pytest

from onnxcam.autodiff.coverage import Coverage
from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.autodiff.registry import Table, gradient_table
from onnxcam.errors import UnsupportedError
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.models import floats, model

_TEXTS = {
    "rules": "a = Exp(x) y = Sin(a)",
    "a definition": "a = Exp(x) y = CenterCropPad <axes = [2, 3]> (a, size)",
    "after a definition": "a = CenterCropPad <axes = [2, 3]> (x, size) y = my.own.Turn(a)",
    "an input that a rule leaves out": "s = ReduceMean <keepdims = 0> (x) r = Expand(s, four) y = Resize(x, , r)",
    "such an input, computed in steps": "s = ReduceMean <keepdims = 0> (x) f = Floor(s) r = Expand(f, four) "
    "y = Resize(x, , r)",
    "such an input in a branch": "s = ReduceSum <keepdims = 0> (x) t = Exp(s) c = Greater(s, t) r = Expand(t, four) "
    "y = If (c) <then_branch = yes () => (p) { p = Resize(x, , r) }, else_branch = no () => (q) { q = Exp(x) }>",
    "refused and unknown": "a = my.own.Twist(x) b = my.own.Turn(a) d = Det(b) y = Mul(d, b)",
    "in a branch": "s = ReduceSum <keepdims = 0> (x) t = Exp(s) c = Greater(s, t) "
    "y = If (c) <then_branch = yes () => (p) { d = Det(x) p = Mul(d, x) }, else_branch = no () => (q) { q = Exp(x) }>",
    "definition in a branch": "s = ReduceSum <keepdims = 0> (x) t = Exp(s) c = Greater(s, t) "
    "y = If (c) <then_branch = yes () => (p) { p = CenterCropPad <axes = [2, 3]> (x, size) }, "
    "else_branch = no () => (q) { q = CenterCropPad <axes = [2, 3]> (x, size) }>",
}
# What CenterCropPad is defined by.
_WITHOUT = ("Pad", "Slice")


def _table(without: tuple[str, ...]) -> Table:
    return MappingProxyType({key: rules for key, rules in gradient_table().items() if key[1] not in without})


def _model(text: str) -> onnx.ModelProto:
    sizes = {"size": np.array([6, 10]), "four": np.array([4])}
    given = {name: array for name, array in sizes.items() if name in text}
    proto = model(f"g (float[n,3,8,8] x) => (float[a,b,c,d] y) {{ {text} }}", given)
    if "my.own" in text:
        proto.opset_import.append(onnx.helper.make_opsetid("my.own", 1))
    return proto


@pytest.mark.parametrize("without", [(), _WITHOUT], ids=["all rules", "some missing"])
@pytest.mark.parametrize("name", _TEXTS)
def test_what_is_missing_is_what_differentiation_misses(name: str, without: tuple[str, ...]) -> None:
    canonical, table = canonicalize(load(_model(_TEXTS[name])).ir), _table(without)
    coverage = Coverage(canonical, "y", table)
    missing = coverage.missing()
    assert coverage.has_gradient("x") == (not missing)
    if not missing:
        add_gradients(canonical, "y", ["x"], table=table)
        return
    with pytest.raises(UnsupportedError) as error:
        add_gradients(canonical, "y", ["x"], table=table)
    listed = re.findall(r"([\w.:]+) \(at ([^)]*)\)", str(error.value))
    assert {kind: names.split(", ") for kind, names in listed} == {kind: n[:3] for kind, n in missing.items()}


def test_the_model_is_left_alone() -> None:
    canonical = canonicalize(load(_model(_TEXTS["a definition"])).ir)
    Coverage(canonical, "y")
    assert [node.op_type for node in canonical.graph] == ["Exp", "CenterCropPad"]


def test_layers_after_what_is_missing_have_gradients() -> None:
    text = "a = my.own.Twist(x) b = Conv(a, w) r = Relu(b) y = Sin(r)"
    proto = model(f"g (float[n,3,8,8] x) => (float[a,b,c,d] y) {{ {text} }}", {"w": floats(4, 3, 3, 3)})
    proto.opset_import.append(onnx.helper.make_opsetid("my.own", 1))
    coverage = Coverage(canonicalize(load(proto).ir), "y")
    assert list(coverage.missing()) == ["my.own:Twist"]
    assert coverage.has_gradient("r")
    assert not coverage.has_gradient("x")


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("an input that a rule leaves out", ["Resize"]),
        ("such an input, computed in steps", []),
        ("such an input in a branch", ["Resize"]),
    ],
)
def test_an_input_that_a_rule_leaves_out_counts_where_a_gradient_would_reach_it(name: str, missing: list[str]) -> None:
    assert list(Coverage(canonicalize(load(_model(_TEXTS[name])).ir), "y").missing()) == missing
