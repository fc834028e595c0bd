from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from onnxcam.errors import DependencyError, NameNotFoundError
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.graph.passes.cut import cut
from onnxcam.graph.passes.expose import expose
from onnxcam.graph.passes.fix_inputs import FixInputs
from onnxcam.graph.passes.float64 import ToFloat64
from onnxcam.network.open_session import open_session
from tests.helpers.models import classifier, floats, model

SHORTCUT = """g (float[n, 3, 8, 8] x, float[n, 4, 8, 8] extra) => (float[n, 4] y, float[n, 4, 8, 8] b) {
    r = DequantizeLinear(w, s) a = Conv<pads = [1, 1, 1, 1]>(x, r) b = Relu(a) c = Conv<pads = [1, 1, 1, 1]>(b, v)
    d = Add(c, a) e = Add(d, extra) size = Shape(x) f = Reshape(e, sizes) y = ReduceMean<keepdims = 0>(f, k)
}"""
WEIGHTS: dict[str, npt.NDArray[Any]] = {
    "w": np.arange(-54, 54, dtype=np.int8).reshape(4, 3, 3, 3),
    "s": np.array(0.02, np.float32),
    "v": floats(4, 4, 3, 3),
    "sizes": np.array([0, 4, 64]),
    "k": np.array([2]),
}


def shortcut() -> ir.Model:
    return canonicalize(ir.from_proto(model(SHORTCUT, WEIGHTS)))


def run(part: ir.Model, feeds: dict[str, Any]) -> dict[str, Any]:
    names = {value.name for value in part.graph.inputs}
    return open_session(part, ["cpu"]).run({name: array for name, array in feeds.items() if name in names})


def feeds() -> dict[str, Any]:
    return {"x": floats(2, 3, 8, 8), "extra": floats(2, 4, 8, 8, seed=1)}


@pytest.mark.parametrize(
    ("at", "others"),
    [(["b"], {"a", "extra"}), (["a"], {"extra"}), (["d"], {"extra"}), (["x"], {"extra"}), (["c", "a"], {"extra"})],
)
def test_both_parts_together_are_the_model(at: list[str], others: set[str]) -> None:
    whole = expose(shortcut(), ["y"])
    parts = cut(whole, at)
    assert parts.at == tuple(at)
    assert set(parts.others) == others
    assert [value.name for value in parts.head.graph.inputs] == [*at, *parts.others]
    trunk = {} if parts.trunk is None else run(parts.trunk, feeds())
    assert (parts.trunk is None) == (at == ["x"])
    np.testing.assert_array_equal(run(parts.head, feeds() | trunk)["y"], run(whole, feeds())["y"])


def test_a_value_that_is_an_output_too_stays_one() -> None:
    parts = cut(shortcut(), ["b"])
    assert [value.name for value in parts.head.graph.outputs] == ["y", "b"]


def test_outputs_before_the_cut_are_left_out() -> None:
    assert [value.name for value in cut(shortcut(), ["c"]).head.graph.outputs] == ["y"]


def test_a_dequantised_kernel_is_a_weight_of_the_head() -> None:
    parts = cut(expose(shortcut(), ["y"]), ["x"])
    assert "r" not in parts.others
    assert any(node.op_type == "DequantizeLinear" for node in parts.head.graph)


def test_the_model_stays_as_it_is() -> None:
    whole = expose(shortcut(), ["y"])
    before = ir.to_proto(whole).SerializeToString(deterministic=True)
    cut(whole, ["b"])
    assert ir.to_proto(whole).SerializeToString(deterministic=True) == before


def test_what_no_output_depends_on_cannot_be_cut_at() -> None:
    # All that depends on the first layer passes the second one.
    with pytest.raises(DependencyError, match="depends on 'a1'"):
        cut(canonicalize(ir.from_proto(classifier())), ["a1", "a2"])
    with pytest.raises(NameNotFoundError):
        cut(shortcut(), ["nothing"])


def test_the_branches_of_an_if_are_read_too() -> None:
    text = """g (float[n, 3] x, bool which) => (float[n, 3] y) {
        a = Relu(x) b = Tanh(x)
        y = If (which) <
            then_branch = t () => (float[n, 3] p) { p = Add(a, b) },
            else_branch = e () => (float[n, 3] q) { q = Sub(a, b) }
        >
    }"""
    whole = canonicalize(ir.from_proto(model(text)))
    parts = cut(whole, ["a"])
    assert set(parts.others) == {"b", "which"}
    given = {"x": floats(2, 3), "which": np.array(False)}
    assert parts.trunk is not None
    made = run(parts.trunk, given)
    np.testing.assert_array_equal(run(parts.head, given | made)["y"], run(whole, given)["y"])


def test_what_the_body_of_a_loop_is_given_is_not_of_the_graph() -> None:
    text = """g (float[n, 3] x, int64 trips) => (float[n, 3] y) {
        a = Relu(x) b = Tanh(x) on = Constant <value_int = 1> () go = Cast <to = 9> (on)
        y = Loop (trips, go, a) <body = step (int64 i, bool last, float[n, 3] v) => (bool more, float[n, 3] next)
            <float[1] half = {0.5}> { more = Identity(last) w = Mul(v, half) next = Add(w, b) }>
    }"""
    whole = canonicalize(ir.from_proto(model(text)))
    parts = cut(whole, ["a"])
    assert set(parts.others) == {"b", "trips"}
    given = {"x": floats(2, 3), "trips": np.array(3)}
    assert parts.trunk is not None
    made = run(parts.trunk, given)
    np.testing.assert_array_equal(run(parts.head, given | made)["y"], run(whole, given)["y"])


def test_every_float_becomes_a_double() -> None:
    whole = canonicalize(ir.from_proto(classifier(ending="h = Cast<to = 10>(logits) y = Cast<to = 1>(h)")))
    double = ToFloat64()(FixInputs({"x": floats(2, 3, 8, 8)})(whole)).model
    values = [*double.graph.inputs, *double.graph.initializers.values(), *(v for n in double.graph for v in n.outputs)]
    assert {value.dtype for value in values} == {ir.DataType.DOUBLE}
    assert all(node.attributes["to"].as_int() == 11 for node in double.graph if node.op_type == "Cast")
    assert {value.dtype for value in whole.graph.inputs} == {ir.DataType.FLOAT}
