"""Where the backward pass begins: at a class of each sample, or at any cotangent."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.errors import UnsupportedError
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.small_graphs import CHAIN, gradients, parse

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
        add_gradients(canonicalize(ir.from_proto(parse(CHAIN))), "y", ["x"], "scores")  # type: ignore[arg-type]
