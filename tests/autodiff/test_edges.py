"""Kinks, ties, zeros, half precision, and what rules refuse: single cases with known answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import parser

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.autodiff.registry import Rule
from onnxcam.errors import UnsupportedError
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.autodiff.samples import SAMPLES
from tests.helpers.checks import OnnxRuntime, assert_close, check_slopes, cotangent_like, differentiate, gradients
from tests.helpers.sample import Arg, Array, Sample, Sizes, const, sized, smooth, var

_INT = np.int64


def gradient(sample: Sample, sizes: Sizes = "static", name: str = "x0") -> Array:
    """Return the gradient of the sum of the outputs through onnxruntime."""
    model = sample.model(np.float32, sizes)
    feeds = sample.feeds(np.float32)
    y = OnnxRuntime(model)(feeds)[sample.score]
    proto = differentiate(model, sample.score, list(sample.variables))
    return OnnxRuntime(proto)(feeds | {"cotangent": np.ones_like(y)})[f"grad/{name}"]


@pytest.mark.parametrize(
    ("sample", "wanted"),
    [
        (Sample("Relu", (var([-1, 0, 1]),)), [0, 0, 1]),
        (Sample("Abs", (var([-1, 0, 1]),)), [-1, 0, 1]),
        (Sample("Clip", (var([-2, -1, 0, 1, 2]), const(-1.0), const(1.0))), [0, 0, 1, 0, 0]),
        (Sample("Clip", (var([-2, -1, 0, 1, 2]), var(-1.0), var(1.0))), [0, 0, 1, 0, 0]),
        (Sample("Max", (var([1, 2, 3]), var([1, 1, 4]))), [0.5, 1, 0]),
        (Sample("Min", (var([1, 2, 3]), var([1, 1, 4]), var([1, 5, 5]))), [1 / 3, 0, 1]),
        (Sample("ReduceMax", (var([[1, 3, 3, 2]]), const(np.array([1])))), [[0, 0.5, 0.5, 0]]),
        (Sample("ReduceMin", (var([[1, 1, 1, 2]]),)), [[1 / 3, 1 / 3, 1 / 3, 0]]),
        (Sample("ReduceProd", (var([2, 0, 3]),)), [0, 6, 0]),
        (Sample("ReduceProd", (var([2, 0, 0]),)), [0, 0, 0]),
        (Sample("ReduceProd", (var([[2, 3], [0, 5]]), const(np.array([1])))), [[3, 2], [5, 0]]),
        (Sample("ReduceL1", (var([-2, 0, 3]),)), [-1, 0, 1]),
        (Sample("ReduceL2", (var([0, 0]),)), [0, 0]),
        (Sample("LpNormalization", (var([[0, 0]]),)), [[0, 0]]),
        (Sample("GlobalLpPool", (var([[[0, 0]], [[3, 4]]]),)), [[[0, 0]], [[0.6, 0.8]]]),
        (Sample("GlobalMaxPool", (var([[[1, 2, 2]]]),)), [[[0, 1, 0]]]),
        (Sample("MaxPool", (var([[[1, 1, 1, 1]]]),), {"kernel_shape": [2], "strides": [2]}), [[[1, 0, 1, 0]]]),
        (Sample("Pow", (var([-2, 0, 3]), const(2.0))), [-4, 0, 6]),
        (Sample("Pow", (var([-2, 0, 3]), const(0.0))), [0, 0, 0]),
        (Sample("Pow", (var([-2, 0, 3]), const(1.0))), [1, 1, 1]),
        (Sample("Pow", (var([-2, 0, 3]), const(3.0))), [12, 0, 27]),
        (Sample("Pow", (var([0, 4]), sized(np.array([0, 0.5])))), [0, 0.25]),
        (Sample("HardSigmoid", (var([-9, 0, 9]),)), [0, 0.2, 0]),
        (Sample("HardSwish", (var([-4, -3, 0, 3, 4]),)), [0, 0, 0.5, 1, 1]),
        (Sample("Where", (const(np.array([True, False])), var([1, 2]), const(0.0))), None),
    ],
    ids=lambda v: v.name if isinstance(v, Sample) else "",
)
def test_kinks_ties_and_zeros(sample: Sample, wanted: Any) -> None:
    if wanted is None:
        np.testing.assert_array_equal(gradient(sample, name="x1"), [1, 0])
    else:
        np.testing.assert_allclose(gradient(sample), wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("bounds", "shares"), [((-1, 1), (2, 2)), ((1, -1), (0, 5)), ((1, 1), (0, 5))])
def test_each_number_has_one_that_holds_it(bounds: tuple[float, float], shares: tuple[int, int]) -> None:
    sample = Sample("Clip", (var([-2, -1, 0, 1, 2]), *map(var, bounds)))
    np.testing.assert_array_equal([gradient(sample, name=name) for name in ("x1", "x2")], shares)
    assert gradient(sample).sum() == 5 - sum(shares)


def test_the_exponent_of_zero_has_no_gradient() -> None:
    found = gradient(Sample("Pow", (var([0, 2]), var([3, 3]))), name="x1")
    np.testing.assert_allclose(found, [0, 8 * np.log(2)], rtol=1e-5)


@pytest.mark.parametrize(
    ("op", "slope"),
    [
        ("ReduceL1", lambda x: np.sign(x)),
        ("ReduceL2", lambda x: np.sign(x)),
        ("ReduceSumSquare", lambda x: 2 * x),
        ("ReduceLogSum", lambda x: 1 / x),
        ("ReduceLogSumExp", lambda x: np.ones_like(x)),
    ],
)
def test_reductions_of_no_axes_keep_their_elementwise_part(op: str, slope: Any) -> None:
    """As the specification has it since opset 18; onnxruntime runs the forward part its own way, y is not compared."""
    x = np.array([[0.5, 1.5, 2.0]])
    sample = Sample(op, (var(x), const(np.array([], _INT))), {"noop_with_empty_axes": 1})
    found = gradient(sample)
    assert found.shape == x.shape
    if op != "ReduceLogSum":  # whose rule reads y
        np.testing.assert_allclose(found, slope(x), rtol=1e-5)


@pytest.mark.parametrize("include", [0, 1])
@pytest.mark.parametrize("sizes", ["symbolic", "unknown"])
def test_a_window_that_starts_past_the_input_is_dropped(include: int, sizes: Sizes) -> None:
    """Ceil mode over 5 places by 2, stride 3, padding 1: onnx infers three windows, engines make two."""
    attributes: dict[str, Any] = {
        "kernel_shape": [2],
        "strides": [3],
        "pads": [1, 1],
        "ceil_mode": 1,
        "count_include_pad": include,
    }
    found = gradient(Sample("AveragePool", (var([[[1, 2, 3, 4, 5]]]),), {**attributes}, opset=19), sizes)
    np.testing.assert_allclose(found, [[[0.5 if include else 1, 0, 0.5, 0.5, 0]]])


@pytest.mark.parametrize("size", [2, 4])
def test_even_lrn(size: int) -> None:
    """Only in float64: onnxruntime has odd sizes only."""
    rng = np.random.default_rng(size)
    check_slopes(Sample("LRN", (var(smooth(rng, 2, 5, 2, 2)),), {"size": size, "alpha": 0.5}))


@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("sizes", [(4, 5), (3, 4, 2)])
def test_a_regular_grid_that_is_moved_as_in_torch(sizes: tuple[int, ...], aligned: int) -> None:
    """The points of a spatial transformer; its size is computed from another image."""
    rank = len(sizes)
    image_shape, grid_shape = ",".join("ncdhw"[: rank + 2]), ",".join("abijk"[: rank + 2])
    model = parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 20]> '
        f"g (float[n,{rank},{rank + 1}] x, float[{image_shape}] image) => (float[{grid_shape}] y) "
        f"{{ size = Shape(image) y = AffineGrid <align_corners = {aligned}> (x, size) }}"
    )
    x = smooth(np.random.default_rng(5), 2, rank, rank + 1).astype(np.float32)
    image = np.zeros((2, 3, *sizes), np.float32)
    theta = torch.tensor(x, requires_grad=True)
    points = torch.nn.functional.affine_grid(theta, list(image.shape), align_corners=bool(aligned))
    cotangent = cotangent_like(points.detach().numpy())
    points.backward(torch.tensor(cotangent))
    found = OnnxRuntime(differentiate(model, "y", ["x"]))({"x": x, "image": image, "cotangent": cotangent})
    assert theta.grad is not None
    assert_close(found["grad/x"], theta.grad.numpy(), 1e-5)


def _recurrent(op: str, gates: int, lengths: np.ndarray | None = None, **attributes: object) -> Sample:
    x, w, r = np.ones((2, 2, 3)), np.ones((1, 2 * gates, 3)), np.ones((1, 2 * gates, 2))
    given = () if lengths is None else (None, const(lengths))
    return Sample(op, (var(x), const(w), const(r), *given), {"hidden_size": 2, **attributes})


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (Sample("Pad", (var(np.ones((2, 3))), sized(np.array([0, 1, 0, 1]))), {"mode": "edge"}), "padding is computed"),
        (Sample("ReduceSum", (var(np.ones((2, 3))), sized(np.array([1])))), "axes are not fixed"),
        (
            Sample(
                "ScatterND",
                (var(np.ones(4)), const(np.array([[1], [3]])), var(np.ones(2))),
                {"reduction": "mul"},
            ),
            "reduction 'mul'",
        ),
        (_recurrent("LSTM", 4, clip=1.0), "no gradient rule for clip"),
        (_recurrent("LSTM", 4, input_forget=1), "no gradient rule for input_forget"),
        (_recurrent("GRU", 3, activations=["Sigmoid", "Relu"]), "no gradient rule for activations"),
        (_recurrent("RNN", 1, lengths=np.array([2, 1], np.int32)), "no gradient rule for sequence_lens"),
    ],
    ids=lambda v: v.op if isinstance(v, Sample) else "",
)
def test_what_rules_refuse(sample: Sample, why: str) -> None:
    model = canonicalize(ir.from_proto(sample.model(np.float32)))
    with pytest.raises(UnsupportedError, match=why):
        add_gradients(model, "y0", ["x0"])


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


# Behind a product: onnxruntime has no float16 kernel for that, and drops the rounding of what some of its readers get.
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
