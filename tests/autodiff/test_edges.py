"""Kinks, ties, zeros and windows beyond the input: single cases with known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from onnx import parser

from tests.helpers.checks import OnnxRuntime, assert_close, check_slopes, cotangent_like, differentiate
from tests.helpers.sample import Array, Sample, Sizes, const, sized, smooth, var

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
    """Ceil mode over 5 positions by 2, stride 3, padding 1: onnx infers three windows, engines make two."""
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
