"""The backward pass through a graph: what it sums, names, exposes and leaves alone."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.errors import DependencyError, NameNotFoundError, UnsupportedError
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import differentiate
from tests.helpers.small_graphs import CHAIN, X, check_fan_in, gradients, parse


def names(model: onnx.ModelProto) -> list[str]:
    return [value.name for value in model.graph.output]


def test_fan_in() -> None:
    check_fan_in()


def test_outputs_are_the_models_own_then_each_value_and_its_gradient() -> None:
    proto = differentiate(parse(CHAIN), "y", ["b", "x"])
    assert names(proto) == ["y", "b", "grad/b", "x", "grad/x"]
    assert [value.name for value in proto.graph.input] == ["x", "cotangent"]


def test_several_values_at_once() -> None:
    feeds = {"x": X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(parse(CHAIN), "y", ["a", "b", "x"], feeds)
    a = np.exp(X)
    np.testing.assert_allclose(found["grad/b"], a, rtol=1e-5)
    np.testing.assert_allclose(found["grad/a"], np.sin(a) + a * np.cos(a), rtol=1e-5)
    np.testing.assert_allclose(found["grad/x"], (np.sin(a) + a * np.cos(a)) * a, rtol=1e-4)
    np.testing.assert_allclose(found["a"], a, rtol=1e-6)


def test_two_values_that_share_one_cotangent_have_an_output_each() -> None:
    model = parse("g (float[2,3] x, float[2,3] z) => (float[2,3] y) { a = Exp(x) b = Exp(z) y = Add(a, b) }")
    cotangent = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = X.astype(np.float32)
    found = gradients(model, "y", ["a", "b"], {"x": x, "z": x, "cotangent": cotangent})
    np.testing.assert_array_equal(found["grad/a"], cotangent)
    np.testing.assert_array_equal(found["grad/b"], cotangent)


def test_a_value_that_is_an_output_already_is_not_listed_twice() -> None:
    model = parse("g (float[2,3] x) => (float[2,3] y, float[2,3] a) { a = Exp(x) y = Mul(a, a) }")
    proto = differentiate(model, "y", ["a", "x"])
    assert names(proto) == ["y", "a", "grad/a", "x", "grad/x"]


def test_the_gradient_of_a_value_with_respect_to_itself_is_the_seed() -> None:
    cotangent = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = gradients(parse(CHAIN), "y", ["y"], {"x": X.astype(np.float32), "cotangent": cotangent})
    np.testing.assert_array_equal(found["grad/y"], cotangent)


def test_the_score_may_lie_inside_the_model() -> None:
    feeds = {"x": X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(parse(CHAIN), "b", ["a"], feeds)
    np.testing.assert_allclose(found["grad/a"], np.cos(np.exp(X)), rtol=1e-4)


@pytest.mark.parametrize("taken", ["grad/x", "grad/Mul_1", "grad/Identity_2", "grad/const_1"])
def test_names_that_are_taken_are_avoided(taken: str) -> None:
    """Also the name of a gradient: the model's own value of that name is renamed unless it is an output."""
    model = parse("g (float[2,3] x) => (float[2,3] y) { t = Exp(x) y = Mul(t, x) }")
    for node in model.graph.node:
        for field in (node.input, node.output):
            field[:] = [taken if name == "t" else name for name in field]
    feeds = {"x": X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(model, "y", ["x"], feeds)
    np.testing.assert_allclose(found["grad/x"], np.exp(X) * (1 + X), rtol=1e-5)


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
    feeds = {"x": X.astype(np.float32), "cotangent": np.ones((2, 3), np.float32)}
    found = gradients(model, "y", ["x"], feeds)
    np.testing.assert_allclose(found["grad/x"], np.exp(X) * (1 + X), rtol=1e-5)


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


def test_unknown_names_are_refused() -> None:
    model = canonicalize(ir.from_proto(parse(CHAIN)))
    for of, wrt in (("nothing", "x"), ("y", "nothing")):
        with pytest.raises(NameNotFoundError):
            add_gradients(model, of, [wrt])


def test_the_model_given_is_not_changed() -> None:
    model = canonicalize(ir.from_proto(parse("g (float[1,1,4] x) => (y) { y = MaxPool <kernel_shape = [2]> (x) }")))
    before = ir.to_proto(model).SerializeToString()
    add_gradients(model, "y", ["x"])
    assert ir.to_proto(model).SerializeToString() == before
