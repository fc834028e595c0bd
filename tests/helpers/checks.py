"""What a gradient is compared with: differences of the forward model, in float64, along random directions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.registry import Table
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.sample import Array, Oracle, Sample, Sizes
from tests.oracles.exact import EXACT

Arrays = Mapping[str, Array]
_DIRECTIONS = 2
# Central differences: rounding costs 1e-16 / step, curvature step^2.
_STEP = 1e-5
_RTOL = 1e-6
# The same with what float32 can tell; a linear operator has no curvature, so that a wide step rounds less.
_ACCURACY: dict[Oracle, tuple[npt.DTypeLike, float, float]] = {
    "reference": (np.float64, _STEP, _RTOL),
    "linear": (np.float32, 0.5, 2e-5),
    "float32": (np.float32, 1e-2, 2e-4),
}


class Reference:
    """A model run by onnx's reference evaluator, with its mistakes put right."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._evaluator = ReferenceEvaluator(model, new_ops=EXACT)
        self._names = [value.name for value in model.graph.output]

    def __call__(self, feeds: Arrays) -> dict[str, Array]:
        with np.errstate(all="ignore"):
            results = self._evaluator.run(None, dict(feeds))
        return dict(zip(self._names, results, strict=True))


class OnnxRuntime:
    """A model run by onnxruntime on the CPU."""

    def __init__(self, model: onnx.ModelProto, *, optimize: bool = True) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        if not optimize:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._names = [value.name for value in self._session.get_outputs()]

    def __call__(self, feeds: Arrays) -> dict[str, Array]:
        return dict(zip(self._names, self._session.run(None, dict(feeds)), strict=True))


def differentiate(model: onnx.ModelProto, of: str, wrt: list[str], table: Table | None = None) -> onnx.ModelProto:
    """Return the model with its gradients, as the checker accepts it."""
    with_gradients = add_gradients(canonicalize(ir.from_proto(model)), of, wrt, table=table)
    proto = ir.to_proto(with_gradients)
    # The checker takes no input or output of unknown rank, in the model itself neither; nor what is deprecated.
    known = all(value.type.tensor_type.HasField("shape") for value in (*proto.graph.input, *proto.graph.output))
    if known and not _deprecated(model):
        onnx.checker.check_model(proto, full_check=True)
    return proto


def _deprecated(model: onnx.ModelProto) -> bool:
    old = next(entry.version for entry in model.opset_import if entry.domain == "") < 21
    return old and any(node.op_type == "GroupNormalization" for node in model.graph.node)


def cotangent_like(y: Array, seed: int = 1) -> Array:
    """Return random numbers that float32 holds exactly."""
    return np.random.default_rng(seed).standard_normal(y.shape).astype(np.float32)


@cache
def directional_slopes(sample: Sample) -> tuple[dict[str, Array], Array, list[tuple[Arrays, float]]]:
    """Take central differences of ``<cotangent, score>`` along random directions."""
    dtype, step, _ = _ACCURACY[sample.oracle]
    model = sample.model(dtype)
    run = Reference(model) if dtype == np.float64 else OnnxRuntime(model)
    feeds = sample.feeds(dtype)
    cotangent = cotangent_like(run(feeds)[sample.score])
    rng = np.random.default_rng(2)
    slopes: list[tuple[Arrays, float]] = []
    for _ in range(_DIRECTIONS):
        direction = {name: rng.standard_normal(x.shape) for name, x in sample.variables.items()}
        ends = [
            run(feeds | {n: np.asarray(feeds[n] + sign * step * v, dtype) for n, v in direction.items()})[sample.score]
            for sign in (1, -1)
        ]
        difference = (ends[0].astype(np.float64) - ends[1]) / (2 * step)
        slopes.append((direction, float(np.vdot(cotangent.astype(np.float64), difference))))
    return feeds, cotangent, slopes


def gradients(sample: Sample, table: Table | None = None) -> dict[str, Array]:
    """Return the gradients by name: float64 through the reference evaluator, or float32 through onnxruntime."""
    dtype = _ACCURACY[sample.oracle][0]
    feeds, cotangent, _ = directional_slopes(sample)
    model = differentiate(sample.model(dtype), sample.score, list(sample.variables), table)
    results = (Reference(model) if dtype == np.float64 else OnnxRuntime(model))(feeds | {"cotangent": cotangent})
    return {name: results[gradient_name(name)] for name in sample.variables}


def check_slopes(sample: Sample, table: Table | None = None) -> dict[str, Array]:
    """Compare ``<gradient, direction>`` with the difference along it; return the gradients.

    Raises:
        AssertionError: they differ.
    """
    found = gradients(sample, table)
    rtol = _ACCURACY[sample.oracle][2]
    for name, x in sample.variables.items():
        assert found[name].shape == x.shape, f"gradient of {name} has shape {found[name].shape}, not {x.shape}"
        assert np.isfinite(found[name]).all(), f"gradient of {name} is not finite"
    for direction, slope in directional_slopes(sample)[2]:
        terms = {name: np.vdot(found[name].astype(np.float64), v) for name, v in direction.items()}
        size = sum(float(np.linalg.norm(found[name]) * np.linalg.norm(v)) for name, v in direction.items())
        gap = abs(sum(terms.values()) - slope)
        assert gap <= rtol * max(size, abs(slope)) + 1e-9, f"{sample.name}: {terms} against slope {slope}"
    return found


def check_float32(sample: Sample, wanted: Arrays, sizes: Sizes = "static") -> None:
    """Compare onnxruntime's float32 gradients with float64 ones.

    Raises:
        AssertionError: they differ.
    """
    _, cotangent, _ = directional_slopes(sample)
    model = differentiate(sample.model(np.float32, sizes), sample.score, list(sample.variables))
    results = OnnxRuntime(model)(sample.feeds(np.float32) | {"cotangent": cotangent})
    for name, want in wanted.items():
        assert_close(results[gradient_name(name)], want, sample.rtol)


def assert_close(found: Array, wanted: npt.ArrayLike, rtol: float) -> None:
    """Compare by the norm of the difference over the norm of what is wanted.

    Raises:
        AssertionError: they differ, in shape too.
    """
    want = np.asarray(wanted, np.float64)
    assert found.shape == want.shape
    gap = float(np.linalg.norm(found.astype(np.float64) - want))
    assert gap <= rtol * max(float(np.linalg.norm(want)), 1e-6), f"relative error {relative_error(found, want):.2e}"


def relative_error(found: Array, wanted: Array) -> float:
    """Return the L2 norm of the difference over that of what is wanted."""
    gap = np.linalg.norm(found.astype(np.float64) - wanted)
    return float(gap / max(float(np.linalg.norm(wanted)), 1e-30))
