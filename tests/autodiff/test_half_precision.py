"""Models in float16: the forward pass as the file says, the backward pass in float32; and casts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import parser

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.autodiff.registry import Rule
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.autodiff.samples import SAMPLES
from tests.helpers.checks import OnnxRuntime, assert_close, cotangent_like, differentiate, gradients
from tests.helpers.sample import Arg, Array, Sample, var

# One sample a rule; Celu and the body of MeanVarianceNormalization are float32 only, casts have a test of their own.
_FIRST: dict[Rule, Sample] = {}
for _sample in SAMPLES:
    if all(arg is None or arg.array.size > 1 or arg.array.dtype != np.float64 for arg in _sample.args):
        _FIRST.setdefault(_sample.rule, _sample)
# onnxruntime's CPU adds no float16 numbers by index, and boxes would have to be float16 with the image.
_WITHOUT_HALF = ("Celu", "Cast", "CastLike", "MeanVarianceNormalization", "RoiAlign", "ScatterND", "ScatterElements")
_HALF = [s for s in _FIRST.values() if s.op not in _WITHOUT_HALF]


def rounded(arg: Arg | None) -> Arg | None:
    """Return an input whose numbers float16 holds exactly."""
    if arg is None or arg.array.dtype != np.float64:
        return arg
    return replace(arg, array=arg.array.astype(np.float16).astype(np.float64))


@pytest.mark.parametrize("sample", _HALF, ids=lambda s: s.name)
def test_half_precision(sample: Sample) -> None:
    """Of a float16 model the forward pass stays float16, the backward pass and its gradients are float32."""
    sample = replace(sample, args=tuple(map(rounded, sample.args)))
    wanted = gradients(sample)
    model = differentiate(sample.model(np.float16), sample.score, list(sample.variables))
    feeds = sample.feeds(np.float16)
    y = OnnxRuntime(sample.model(np.float16))(feeds)[sample.score]
    results = OnnxRuntime(model)(feeds | {"cotangent": cotangent_like(y)})
    for name, want in wanted.items():
        assert results[f"grad/{name}"].dtype == np.float32
        assert_close(results[f"grad/{name}"], want, 1e-2)


@pytest.mark.parametrize("sample", _HALF, ids=lambda s: s.name)
def test_nothing_of_the_backward_pass_is_half_precision(sample: Sample) -> None:
    differentiated = add_gradients(
        canonicalize(ir.from_proto(sample.model(np.float16))), sample.score, list(sample.variables)
    )
    half = [
        node.op_type
        for node in differentiated.graph
        if node.outputs[0].dtype == ir.DataType.FLOAT16 and str(node.outputs[0].name).startswith("grad/")
    ]
    assert not half


# After a product: onnxruntime has no float16 kernel for that, and drops the rounding of what some of its readers get.
_PICKED = {
    "Max": "y = Max(a, b)",
    "Min": "y = Min(a, b)",
    "ReduceMax": "m = ReduceMax <keepdims = 1> (a, axes) y = Mul(m, k)",
    "ReduceMin": "m = ReduceMin <keepdims = 1> (a, axes) y = Mul(m, k)",
    "ScatterElements": 'm = ScatterElements <axis = 1, reduction = "max"> (a, places, b) y = Mul(m, k)',
    "ScatterND": 'm = ScatterND <reduction = "min"> (a, tuples, b) y = Mul(m, k)',
}


@pytest.mark.parametrize("op", _PICKED)
def test_what_is_picked_of_half_precision_is_found_again(op: str) -> None:
    """As in float32, for numbers that lie far apart."""
    rng = np.random.default_rng(3)
    given = {"axes": np.array([1]), "places": rng.integers(0, 20, (4, 20)), "tuples": rng.permutation(4).reshape(4, 1)}
    x = rng.permutation(np.linspace(-2, 2, 80)).reshape(4, 20).astype(np.float16)
    factor = np.array(1.7, np.float16)

    def found(name: str, dtype: type[np.floating]) -> Array:
        model = parser.parse_model(
            f'<ir_version: 8, opset_import: ["" : 18]> g ({name}[4,20] x) => ({name}[m,n] y) '
            f"{{ a = Mul(x, k) b = Add(x, k) {_PICKED[op]} }}"
        )
        arrays = {**given, "k": factor.astype(dtype)}
        model.graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in arrays.items())
        feeds = {"x": x.astype(dtype)}
        cotangent = cotangent_like(OnnxRuntime(model)(feeds)["y"])
        return OnnxRuntime(differentiate(model, "y", ["x"]))(feeds | {"cotangent": cotangent})["grad/x"]

    assert_close(found("float16", np.float16), found("float", np.float32), 1e-3)


@pytest.mark.parametrize(("source", "target"), [(10, 1), (1, 10), (1, 11), (11, 1), (10, 11)])
def test_casts(source: int, target: int) -> None:
    """A cast passes the cotangent on, in float32 for float16 and float32, in float64 for float64."""
    types = {1: np.float32, 10: np.float16, 11: np.float64}
    sample = Sample("Cast", (var([[0.5, -1.5]]),), {"to": target})
    proto = differentiate(sample.model(types[source]), "y0", ["x0"])
    cotangent = np.array([[0.1, 1e-9]], np.float32)
    found = OnnxRuntime(proto)({"x0": np.array([[0.5, -1.5]], types[source]), "cotangent": cotangent})["grad/x0"]
    assert found.dtype == (np.float64 if source == 11 else np.float32)
    np.testing.assert_array_equal(found, cotangent)
