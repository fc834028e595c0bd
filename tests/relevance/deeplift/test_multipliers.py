"""DeepLIFT's multipliers: times what changed at the layer, they give what changed at the score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.autodiff.registry import Table, gradient_table
from onnxcam.graph.io.load import load
from onnxcam.graph.operators import Trait, operators_with
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.network.open_session import open_session
from onnxcam.relevance.deeplift.baseline import with_baseline
from onnxcam.relevance.deeplift.table import deeplift_table
from tests.helpers.models import floats, model

# Functions with a finite value at 0, where the baseline is; the others' multipliers have nothing to add up to.
_FINITE = sorted(
    name for name in operators_with(Trait.FUNCTION) - {"Log", "Reciprocal", "Acosh"} if ("", name) in gradient_table()
)
_FURTHER = {"PRelu": ", slope", "Clip": ", low", "Pow": ", two"}
# As it is by default, its gradient adds up already.
_ATTRIBUTES = {"Shrink": "<lambd = 0.1, bias = 0.2>"}
_CONSTANTS: dict[str, Any] = {
    "slope": np.full((3, 1), 0.2, np.float32),
    "low": np.array(-0.1, np.float32),
    "two": np.array(2, np.float32),
}
_X = 0.9 * np.tanh(floats(2, 3, 5))


def _run(op_type: str, table: Table) -> tuple[Any, Any]:
    """Return what changed at the result of a function, and what the multipliers make of it."""
    further = _FURTHER.get(op_type, "")
    weights = {name: array for name, array in _CONSTANTS.items() if name in further}
    text = f"g (float[n, 3, 5] x) => (float[n, 3, 5] y) {{ y = {op_type} {_ATTRIBUTES.get(op_type, '')} (x{further}) }}"
    plain = canonicalize(load(model(text, weights, 24)).ir)
    x = abs(_X) if op_type == "Sqrt" else _X
    session = open_session(add_gradients(with_baseline(plain, "x", "y"), "y", ["x"], table=table), ["cpu"])
    here, zero = (session.run({"x": at, "cotangent": np.ones_like(x)}, ["y", "grad/x"]) for at in (x, 0 * x))
    return here["y"] - zero["y"], here["grad/x"] * x


@pytest.mark.parametrize("op_type", _FINITE)
def test_every_function_is_rescaled(op_type: str) -> None:
    changed, found = _run(op_type, deeplift_table())
    np.testing.assert_allclose(found, changed, rtol=1e-4, atol=1e-6)


def test_a_gradient_alone_does_not_add_up() -> None:
    for op_type in ("Shrink", "Sin", "Tanh"):
        changed, found = _run(op_type, gradient_table())
        assert abs(found - changed).max() > 1e-2
