"""Second derivatives of one operator: the gradient of its gradient, and what it is compared with."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import onnx_ir as ir

from onnxcam.autodiff.builder import Builder
from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.paths import between
from onnxcam.autodiff.registry import Table
from onnxcam.errors import DependencyError
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.graph.passes.expose import expose
from tests.helpers.checks import Arrays, OnnxRuntime, Reference
from tests.helpers.sample import Array, Sample, Sizes

_FIRST, _COTANGENTS = "gradient", ("cotangent", "cotangent2")
# Of central differences of the first gradient; linear operators have no curvature, float32 has few digits.
_STEPS = {"reference": 1e-5, "linear": 0.5, "float32": 1e-2}
_RTOLS = {"reference": 1e-6, "linear": 1e-4, "float32": 3e-3}
# Second derivatives are made of more sums than first ones.
_LOOSER = 10


def first_gradients(sample: Sample, dtype: type[np.floating], sizes: Sizes = "static") -> ir.Model:
    """Return the model whose one output is the gradient of all variables, joined into one vector."""
    names = list(sample.variables)
    once = add_gradients(canonicalize(ir.from_proto(sample.model(dtype, sizes))), sample.score, names)
    once = canonicalize(expose(once, [gradient_name(name) for name in names]))
    op = Builder(once.graph, "joined")
    joined = op.Concat(*[op.Reshape(op.var(value), [-1]) for value in once.graph.outputs], axis=0).value
    joined.name = _FIRST
    once.graph.outputs.clear()
    once.graph.outputs.append(joined)
    return canonicalize(once)


def smooth_names(once: ir.Model, names: list[str]) -> list[str]:
    """Return those values that the gradient changes smoothly with; the second derivative by the others is 0."""
    found = []
    for name in names:
        try:
            between(once.graph, [find_value(once.graph, name)], find_value(once.graph, _FIRST))
        except DependencyError:
            continue
        found.append(name)
    return found


class Curvature:
    """The second derivative of one sample as a run of a graph: ``u`` to the gradient of ``<u, first gradient>``."""

    def __init__(
        self, sample: Sample, dtype: type[np.floating], sizes: Sizes = "static", table: Table | None = None
    ) -> None:
        once = first_gradients(sample, dtype, sizes)
        self.shapes = {name: x.shape for name, x in sample.variables.items()}
        self.names = smooth_names(once, [*self.shapes, _COTANGENTS[0]])
        twice = ir.to_proto(add_gradients(once, _FIRST, self.names, order=2, table=table))
        run = Reference if dtype == np.float64 else OnnxRuntime
        self._given = [value.name for value in twice.graph.input]
        self._first, self._first_given = run(ir.to_proto(once)), [value.name for value in once.graph.inputs]
        self._twice = run(twice)
        self.model: onnx.ModelProto = twice

    def gradient(self, feeds: Arrays) -> Array:
        """Return the first gradient."""
        return self._first({str(name): feeds[str(name)] for name in self._first_given})[_FIRST]

    def product(self, feeds: Arrays, u: Array) -> dict[str, Array]:
        """Return the product with ``u``, by variable, and by the cotangent of the score."""
        given = {**feeds, _COTANGENTS[1]: u.astype(np.float32)}
        found = self._twice({name: given[name] for name in self._given})
        products = {name: found[gradient_name(name, 2)] for name in self.names}
        zeros = {name: np.zeros(np.shape(feeds[name])) for name in (*self.shapes, _COTANGENTS[0]) if name not in found}
        return {**zeros, **products}

    def hessian(self, feeds: Arrays, u: Array) -> Array:
        """Return the part of the variables, joined as the gradient is."""
        found = self.product(feeds, u)
        return np.concatenate([found[name].astype(np.float64).ravel() for name in self.shapes])


def check_curvature(sample: Sample, table: Table | None = None) -> tuple[Arrays, Array, dict[str, Array]]:
    """Compare with central differences of the first gradient along random directions, and with its own transpose.

    Returns:
        The feeds, the vector ``u``, and the products with it.

    Raises:
        AssertionError: they differ.
    """
    dtype = np.float64 if sample.oracle == "reference" else np.float32
    run = Curvature(sample, dtype, table=table)
    feeds, rng = _feeds(sample, dtype), np.random.default_rng(0)
    u, v = (rng.standard_normal(run.gradient(feeds).shape).astype(np.float32) for _ in range(2))
    products, step, rtol = run.product(feeds, u), _STEPS[sample.oracle], _RTOLS[sample.oracle]
    for moved in ([*run.shapes], [*run.shapes, _COTANGENTS[0]]):
        direction = {name: rng.standard_normal(np.shape(feeds[name])) for name in moved}
        ends = [
            run.gradient({**feeds, **{n: np.asarray(feeds[n] + sign * step * d, dtype) for n, d in direction.items()}})
            for sign in (1, -1)
        ]
        slope = float(np.vdot(u.astype(np.float64), (ends[0].astype(np.float64) - ends[1]) / (2 * step)))
        terms = {name: float(np.vdot(products[name].astype(np.float64), d)) for name, d in direction.items()}
        size = sum(float(np.linalg.norm(products[n]) * np.linalg.norm(d)) for n, d in direction.items())
        gap = abs(sum(terms.values()) - slope)
        assert gap <= rtol * max(size, abs(slope)) + 1e-8, f"{sample.name}: {terms} against slope {slope}"
    left, right = float(np.vdot(v, run.hessian(feeds, u))), float(np.vdot(u, run.hessian(feeds, v)))
    bound = float(np.linalg.norm(run.hessian(feeds, u)) * np.linalg.norm(v))
    assert abs(left - right) <= rtol * bound + 1e-8, f"{sample.name}: not symmetric, {left} and {right}"
    return feeds, u, products


def check_open(
    sample: Sample, sizes: Sizes, known: tuple[Arrays, Array, dict[str, Array]], table: Table | None = None
) -> None:
    """Compare onnxruntime's float32 products, with sizes that the file leaves open, with those of float64.

    Raises:
        AssertionError: they differ.
    """
    _, u, wanted = known
    found = Curvature(sample, np.float32, sizes, table).product(_feeds(sample, np.float32), u)
    for name, want in wanted.items():
        scale = max(float(np.linalg.norm(want)), 1e-2)
        assert found[name].shape == want.shape
        gap = float(np.linalg.norm(found[name] - want))
        assert gap <= _LOOSER * sample.rtol * scale, f"{sample.name} {sizes} {name}: {gap / scale:.1e}"


@cache
def _feeds(sample: Sample, dtype: type[np.floating]) -> Arrays:
    feeds = sample.feeds(dtype)
    run = (Reference if dtype == np.float64 else OnnxRuntime)(sample.model(dtype))
    score = run(feeds)[sample.score]
    return {**feeds, _COTANGENTS[0]: np.random.default_rng(1).standard_normal(score.shape).astype(np.float32)}
