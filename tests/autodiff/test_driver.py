"""The walk backwards: what it sums, names, exposes, refuses and leaves alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import parser

from onnxcam.autodiff.differentiate import Seed, add_gradients
from onnxcam.autodiff.registry import gradient_table
from onnxcam.errors import DependencyError, NameNotFoundError, UnsupportedError
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import OnnxRuntime, Reference, differentiate
from tests.helpers.sample import Array

_X = np.array([[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]])
_HEAD = '<ir_version: 8, opset_import: ["" : {opset}]>'


def parse(text: str, opset: int = 18) -> onnx.ModelProto:
    """Return a model of ONNX text."""
    return parser.parse_model(_HEAD.format(opset=opset) + text)


def gradients(
    model: onnx.ModelProto, of: str, wrt: Sequence[str], feeds: Mapping[str, Array], seed: Seed = "cotangent"
) -> dict[str, Array]:
    """Differentiate, check and run."""
    proto = ir.to_proto(add_gradients(canonicalize(ir.from_proto(model)), of, wrt, seed))
    onnx.checker.check_model(proto, full_check=True)
    return OnnxRuntime(proto)(feeds)


def names(model: onnx.ModelProto) -> list[str]:
    return [value.name for value in model.graph.output]


def check_fan_in() -> None:
    """A value that is read four times, once by one node twice, receives the sum.

    Raises:
        AssertionError: it does not.
    """
    model = parse("g (double[2,3] x) => (double[2,3] y) { a = Mul(x, x) b = Exp(x) c = Add(a, b) y = Mul(c, x) }")
    proto = differentiate(model, "y", ["x"])
    ones = np.ones((2, 3), np.float32)
    found = Reference(proto)({"x": _X, "cotangent": ones})["grad/x"]
    np.testing.assert_allclose(found, 3 * _X**2 + np.exp(_X) * (1 + _X), rtol=1e-9)


def test_fan_in() -> None:
    check_fan_in()


_CHAIN = "g (float[N,3] x) => (float[N,3] y) { a = Exp(x) b = Sin(a) y = Mul(b, a) }"


def test_outputs_are_the_models_own_then_each_value_and_its_gradient() -> None:
    proto = differentiate(parse(_CHAIN), "y", ["b", "x"])
    assert names(proto) == ["y", "b", "grad/b", "x", "grad/x"]
    assert [value.name for value in proto.graph.input] == ["x", "cotangent"]


def test_several_values_at_once() -> None:
    feeds = {"x": _X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(parse(_CHAIN), "y", ["a", "b", "x"], feeds)
    a = np.exp(_X)
    np.testing.assert_allclose(found["grad/b"], a, rtol=1e-5)
    np.testing.assert_allclose(found["grad/a"], np.sin(a) + a * np.cos(a), rtol=1e-5)
    np.testing.assert_allclose(found["grad/x"], (np.sin(a) + a * np.cos(a)) * a, rtol=1e-4)
    np.testing.assert_allclose(found["a"], a, rtol=1e-6)


def test_two_values_that_share_one_cotangent_have_an_output_each() -> None:
    model = parse("g (float[2,3] x, float[2,3] z) => (float[2,3] y) { a = Exp(x) b = Exp(z) y = Add(a, b) }")
    cotangent = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = _X.astype(np.float32)
    found = gradients(model, "y", ["a", "b"], {"x": x, "z": x, "cotangent": cotangent})
    np.testing.assert_array_equal(found["grad/a"], cotangent)
    np.testing.assert_array_equal(found["grad/b"], cotangent)


def test_a_value_that_is_an_output_already_is_not_listed_twice() -> None:
    model = parse("g (float[2,3] x) => (float[2,3] y, float[2,3] a) { a = Exp(x) y = Mul(a, a) }")
    proto = differentiate(model, "y", ["a", "x"])
    assert names(proto) == ["y", "a", "grad/a", "x", "grad/x"]


def test_the_gradient_of_a_value_with_respect_to_itself_is_the_seed() -> None:
    cotangent = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = gradients(parse(_CHAIN), "y", ["y"], {"x": _X.astype(np.float32), "cotangent": cotangent})
    np.testing.assert_array_equal(found["grad/y"], cotangent)


def test_the_score_may_lie_inside_the_model() -> None:
    feeds = {"x": _X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(parse(_CHAIN), "b", ["a"], feeds)
    np.testing.assert_allclose(found["grad/a"], np.cos(np.exp(_X)), rtol=1e-4)


@pytest.mark.parametrize("taken", ["grad/x", "grad/Mul_1", "grad/Identity_2", "grad/const_1"])
def test_names_that_are_taken_are_avoided(taken: str) -> None:
    """Also the name of a gradient: the model's own value of that name is renamed unless it is an output."""
    model = parse("g (float[2,3] x) => (float[2,3] y) { t = Exp(x) y = Mul(t, x) }")
    for node in model.graph.node:
        for field in (node.input, node.output):
            field[:] = [taken if name == "t" else name for name in field]
    feeds = {"x": _X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(model, "y", ["x"], feeds)
    np.testing.assert_allclose(found["grad/x"], np.exp(_X) * (1 + _X), rtol=1e-5)


def test_an_output_that_has_the_name_of_a_gradient_is_refused() -> None:
    model = parse("g (float[2,3] x) => (float[2,3] y, float[2,3] t) { t = Exp(x) y = Mul(t, x) }")
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = model.graph.output[1].name = "grad/x"
    with pytest.raises(UnsupportedError, match="grad/x"):
        add_gradients(canonicalize(ir.from_proto(model)), "y", ["x"])


def test_an_input_named_like_the_seed_is_refused() -> None:
    model = parse("g (float[2,3] cotangent) => (float[2,3] y) { y = Exp(cotangent) }")
    with pytest.raises(UnsupportedError, match="cotangent"):
        add_gradients(canonicalize(ir.from_proto(model)), "y", ["cotangent"])


def test_a_value_named_like_the_seed_is_renamed() -> None:
    model = parse("g (float[2,3] x) => (float[2,3] y) { cotangent = Exp(x) y = Mul(cotangent, x) }")
    feeds = {"x": _X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(model, "y", ["x"], feeds)
    np.testing.assert_allclose(found["grad/x"], np.exp(_X) * (1 + _X), rtol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "g (float[2,3] x, float[2,3] z) => (float[2,3] y) { y = Exp(z) }",
        "g (float[2,3] x) => (float[2,3] y) { a = Floor(x) y = Exp(a) }",
        "g (float[2,3] x) => (float[2,3] y) { a = Shape(x) y = ConstantOfShape(a) }",
        "g (float[2,3] x, float[2,3] z) => (float[2,3] y) { a = Greater(x, z) y = Where(a, z, z) }",
    ],
)
def test_a_score_that_does_not_depend_on_the_value_is_refused(text: str) -> None:
    with pytest.raises(DependencyError, match="'y' does not depend smoothly on 'x'"):
        add_gradients(canonicalize(ir.from_proto(parse(text))), "y", ["x"])


def test_every_missing_rule_is_listed_at_once() -> None:
    model = parse(
        "g (float[2,3] x) => (float[2,3] y) { a = Exp(x) "
        "b = Unique(a) c = Det(m) d = Add(b, c) e = DFT(d) y = Mul(e, x) }"
    )
    model.graph.node.insert(1, onnx.helper.make_node("MatMul", ["a", "w"], ["m"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((3, 2), np.float32), "w"))
    with pytest.raises(UnsupportedError) as caught:
        add_gradients(canonicalize(ir.from_proto(model)), "y", ["x"])
    assert all(op in str(caught.value) for op in ("Unique", "Det", "DFT"))
    assert "ONNX has no operator for" in str(caught.value)
    assert "3 operator(s)" in str(caught.value)


def test_an_operator_without_a_rule_off_the_way_is_left_alone() -> None:
    model = parse(
        "g (float[2,3] x) => (float[2,3] y, float[2,3] other, int64[2,3] i) "
        "{ a = Exp(x) y = Mul(a, a) b, i = TopK <axis = 1> (x, k) other = Trilu(b) }"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([3]), "k"))
    feeds = {"x": _X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(model, "y", ["x"], feeds)
    np.testing.assert_allclose(found["grad/x"], 2 * np.exp(2 * _X), rtol=1e-5)
    np.testing.assert_array_equal(found["i"][0], [2, 0, 1])


def test_an_operator_without_a_rule_that_makes_the_value_is_not_asked() -> None:
    """The layer right after it is a later layer; so is one of several, where the others have gradients too."""
    text = "g (float[2,3] x) => (float[2,3] y) { a = Exp(x) b = Round(a) c = Add(a, b) y = Mul(c, c) }"
    feeds = {"x": _X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    twice = 2 * (np.exp(_X) + np.round(np.exp(_X)))
    for wrt in (["b"], ["a", "b"]):
        found = gradients(parse(text), "y", wrt, feeds)
        np.testing.assert_allclose(found["grad/b"], twice, rtol=1e-5)
    np.testing.assert_allclose(found["grad/a"], twice, rtol=1e-5)


def _with_if() -> onnx.ModelProto:
    then = parser.parse_graph("then () => (float[2,3] t) { t = Sin(x) }")
    other = parser.parse_graph("other () => (float[2,3] u) { u = Cos(x) }")
    model = parse("g (float[2,3] x, bool c) => (float[2,3] y, float[2,3] z) { a = Exp(x) y = Mul(a, a) z = Exp(a) }")
    model.graph.node[2].CopyFrom(
        onnx.helper.make_node("If", ["c"], ["z"], name="branch", then_branch=then, else_branch=other)
    )
    return model


def test_an_if_off_the_way_is_left_alone() -> None:
    feeds = {"x": _X.astype(np.float32), "c": np.array(True), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(_with_if(), "y", ["x"], feeds)
    np.testing.assert_allclose(found["grad/x"], 2 * np.exp(2 * _X), rtol=1e-5)
    np.testing.assert_allclose(found["z"], np.sin(_X), rtol=1e-5)


def test_an_if_on_the_way_is_not_overlooked() -> None:
    """Its branches read x from outside: a walk that looks at a node's inputs alone would miss that."""
    for which, slope in ((True, np.cos(_X)), (False, -np.sin(_X))):
        feeds = {"x": _X.astype(np.float32), "c": np.array(which), "cotangent": np.ones((2, 3), np.float32)}
        np.testing.assert_allclose(gradients(_with_if(), "z", ["x"], feeds)["grad/x"], slope, rtol=1e-5)


def test_a_second_output_that_a_rule_ignores_is_refused() -> None:
    model = parse("g (float[2,3] x) => (float[2,3] y) { a, mean = LayerNormalization (x, s) y = Add(a, mean) }")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(3, np.float32), "s"))
    with pytest.raises(UnsupportedError, match=r"LayerNormalization.*further outputs"):
        add_gradients(canonicalize(ir.from_proto(model)), "y", ["x"])


def test_an_input_that_a_rule_forgets_is_refused() -> None:
    model = parse("g (float[2,3] x, float[2,3] w) => (float[2,3] y) { y = Mul(x, w) }")
    (rule,) = gradient_table()["", "Mul"]
    forgetful = replace(rule, function=lambda op, node, dy: (dy, None))
    table = MappingProxyType({**gradient_table(), ("", "Mul"): (forgetful,)})
    with pytest.raises(UnsupportedError, match=r"no gradient for its input 1 \('w'\); choose a later layer"):
        add_gradients(canonicalize(ir.from_proto(model)), "y", ["w"], table=table)


def test_unknown_names_are_refused() -> None:
    model = canonicalize(ir.from_proto(parse(_CHAIN)))
    for of, wrt in (("nothing", "x"), ("y", "nothing")):
        with pytest.raises(NameNotFoundError):
            add_gradients(model, of, [wrt])


def test_the_model_given_is_not_changed() -> None:
    model = canonicalize(ir.from_proto(parse("g (float[1,1,4] x) => (y) { y = MaxPool <kernel_shape = [2]> (x) }")))
    before = ir.to_proto(model).SerializeToString()
    add_gradients(model, "y", ["x"])
    assert ir.to_proto(model).SerializeToString() == before


_SCORES = {
    "matrix": "g (float[N,3] x) => (float[N,3] y) { y = Mul(x, x) }",
    "map": "g (float[N,3] x) => (float[N,3,1,1] y) { a = Mul(x, x) y = Unsqueeze(a, axes) }",
}


@pytest.mark.parametrize("form", _SCORES)
def test_class_seed(form: str) -> None:
    """A negative index means the class with the highest score."""
    model = parse(_SCORES[form])
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 3]), "axes"))
    x = np.array([[1, 2, 3], [3, 1, 2], [1, 3, 2]], np.float32)
    found = gradients(model, "y", ["x"], {"x": x, "class_index": np.array([0, -1, -1])}, "class")["grad/x"]
    np.testing.assert_array_equal(found, [[2, 0, 0], [6, 0, 0], [0, 6, 0]])


@pytest.mark.parametrize("shape", ["N", "N,3,2", "2,3,4,4"])
def test_a_score_that_is_no_vector_of_classes_has_no_class_seed(shape: str) -> None:
    model = parse(f"g (float[{shape}] x) => (float[{shape}] y) {{ y = Exp(x) }}")
    with pytest.raises(UnsupportedError, match="class index"):
        add_gradients(canonicalize(ir.from_proto(model)), "y", ["x"], "class")


def test_an_unknown_seed_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="seed"):
        add_gradients(canonicalize(ir.from_proto(parse(_CHAIN))), "y", ["x"], "scores")  # type: ignore[arg-type]


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, 18, 19, 20, 21, 22, 23, 24, 25])
def test_opsets(opset: int) -> None:
    """Files of old and new operator sets: what the rules write must be right in each."""
    model = parse(
        "g (float[N,2,6,6] x) => (float[N,3] y) { "
        "a = Conv <kernel_shape = [3,3], pads = [1,1,1,1]> (x, w) b = Relu(a) "
        "c = MaxPool <kernel_shape = [2,2], strides = [2,2]> (b) "
        "d = AveragePool <kernel_shape = [2,2], pads = [1,1,0,0], strides = [2,2]> (c) "
        "e = GlobalAveragePool(d) f = Flatten(e) g = Add(f, s) h = Gemm(g, v) y = Softmax <axis = 1> (h) }",
        opset,
    )
    rng = np.random.default_rng(0)
    weights = {"w": (3, 2, 3, 3), "s": (1, 3), "v": (3, 3)}
    for name, shape in weights.items():
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        )
    if opset < 8:
        model.ir_version = 3
        for name, shape in weights.items():
            model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    if opset == 7:
        model.graph.node[7].input.append("s")
    x = rng.standard_normal((2, 2, 6, 6)).astype(np.float32)
    feeds = {"x": x, "cotangent": np.array([[1, 0, 0], [0, 0, 1]], np.float32)}
    found = gradients(model, "y", ["x"], feeds)["grad/x"]
    run, v = OnnxRuntime(ir.to_proto(canonicalize(ir.from_proto(model)))), rng.standard_normal(x.shape)
    step = 1e-2
    ends = [run({"x": (x + sign * step * v).astype(np.float32)})["y"].astype(np.float64) for sign in (1, -1)]
    slope = float(np.vdot(feeds["cotangent"], ends[0] - ends[1]) / (2 * step))
    assert float(np.vdot(found, v)) == pytest.approx(slope, rel=0.05, abs=1e-4)


def test_opset_17_and_its_raised_self_agree() -> None:
    """The converter's operators differ, their gradients must not."""
    feeds = {"x": _X.astype(np.float32), "cotangent": np.ones((2, 1), np.float32)}
    old = parse("g (float[2,3] x) => (float[2,1] y) { y = ReduceMean <axes = [1]> (x) }", 17)
    np.testing.assert_allclose(gradients(old, "y", ["x"], feeds)["grad/x"], np.full((2, 3), 1 / 3), rtol=1e-6)
