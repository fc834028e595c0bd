"""FullGrad is complete: input, layers' biases and implicit biases sum to the score, and each is the paper's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import onnxcam
from onnxcam.attribution.view import BatchView, view_batch
from onnxcam.methods.formulas.full_grad import FullGrad, contributions
from onnxcam.network.feeds import check_feeds
from onnxcam.targets.batch import flatten_targets, resolve_targets
from tests.helpers.models import floats, model
from tests.models.test_real import explainer, photographs
from tests.networks.efficientnet_lite import PREPROCESS, efficientnet_lite, photograph

TARGETS = [1, 3]


def view_of(made: onnxcam.Explainer, x: Any, classes: Any = None) -> BatchView:
    targets, samples = flatten_targets(classes, len(x))
    chosen = resolve_targets(targets, len(samples), made.network.score, None)
    return view_batch(made._context, check_feeds(made.network, x), chosen, samples)


def assert_complete(view: BatchView, tolerance: float = 1e-5) -> None:
    sums = [np.asarray(share, np.float64).reshape(len(view.score), -1).sum(axis=1) for share in contributions(view)]
    np.testing.assert_allclose(sum(sums), view.score, rtol=tolerance)


# The activation in torch, and ways to write it from ``c`` to ``a``.
ACTIVATIONS: dict[str, tuple[Any, list[str]]] = {
    "relu6": (functional.relu6, ["a = Clip (c, zero, six)", "r = Relu (c)\n a = Min (r, six)"]),
    "hardtanh": (functional.hardtanh, ["a = Clip (c, minus, one)", "m = Max (c, minus)\n a = Min (m, one)"]),
    "hardswish": (
        functional.hardswish,
        [
            "a = HardSwish (c)",
            "s = Add (c, three)\n k = Clip (s, zero, six)\n m = Mul (c, k)\n a = Div (m, six)",
            "h = HardSigmoid <alpha = 0.16666667, beta = 0.5> (c)\n a = Mul (c, h)",
        ],
    ),
    "hardsigmoid": (
        lambda c: (c / 6 + 0.5).clamp(0, 1),
        [
            "a = HardSigmoid <alpha = 0.16666667, beta = 0.5> (c)",
            "s = Add (c, three)\n k = Clip (s, zero, six)\n a = Div (k, six)",
        ],
    ),
    "silu": (
        functional.silu,
        ["s = Sigmoid (c)\n a = Mul (c, s)", "n = Neg (c)\n e = Exp (n)\n p = Add (e, one)\n a = Div (c, p)"],
    ),
    "gelu": (
        functional.gelu,
        ["a = Gelu (c)", "u = Div (c, root)\n e = Erf (u)\n p = Add (e, one)\n m = Mul (c, p)\n a = Mul (m, half)"],
    ),
    "mish": (functional.mish, ["a = Mish (c)", "s = Softplus (c)\n t = Tanh (s)\n a = Mul (c, t)"]),
    "elu": (functional.elu, ["a = Elu (c)"]),
    "selu": (functional.selu, ["a = Selu (c)"]),
    "celu": (functional.celu, ["a = Celu (c)"]),
    "sigmoid": (torch.sigmoid, ["a = Sigmoid (c)"]),
    "tanh": (torch.tanh, ["a = Tanh (c)"]),
    "softplus": (functional.softplus, ["a = Softplus (c)"]),
    "relu": (functional.relu, ["a = Relu (c)", "a = Max (c, zero)", "a = Clip (c, zero)"]),
    "leaky": (functional.leaky_relu, ["a = LeakyRelu <alpha = 0.01> (c)", "a = PRelu (c, slope)"]),
}
CONSTANTS = {"zero": 0, "one": 1, "minus": -1, "three": 3, "six": 6, "half": 0.5, "root": 2**0.5, "slope": 0.01}
# The tangent of these passes through the origin everywhere.
WITHOUT = {"relu", "leaky"}
WEIGHTS: dict[str, Any] = {
    "w1": 3 * floats(4, 3, 3, 3, seed=1) / 2,
    "b1": floats(4, seed=2),
    "w2": floats(5, 4, 3, 3, seed=3),
    "b2": floats(5, seed=4),
}


def written(form: str) -> onnxcam.Explainer:
    used = {
        name: np.array(number, np.float32)
        for name, number in CONSTANTS.items()
        if f"{name})" in form or f"{name}," in form
    }
    graph = f"""g (float[n, 3, 8, 8] x) => (float[n, 5] y) {{
        c = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        {form}
        d = Conv <pads = [1, 1, 1, 1]> (a, w2, b2)
        g = GlobalAveragePool (d)
        y = Flatten (g)
    }}"""
    return onnxcam.Explainer(model(graph, {**WEIGHTS, **used}, 20), "full-grad", threads=1)


def by_torch(activation: Any, x: Any) -> list[Any]:
    """Return the terms of first layer, activation and second layer by autograd: ``b g`` and ``(f - f' c) g``."""
    w1, b1, w2, b2 = (torch.tensor(array, dtype=torch.float64) for array in WEIGHTS.values())
    c = functional.conv2d(torch.tensor(x, dtype=torch.float64), w1, b1, padding=1).requires_grad_()
    a = activation(c)
    d = functional.conv2d(a, w2, b2, padding=1)
    score = d.mean(dim=(2, 3))[range(len(TARGETS)), TARGETS].sum()
    gc, ga, gd = torch.autograd.grad(score, [c, a, d])
    slope = torch.autograd.functional.jvp(activation, c.detach(), torch.ones_like(c))[1]
    terms = [b1[:, None, None] * gc, (a - slope * c) * ga, b2[:, None, None] * gd]
    return [term.detach().numpy() for term in terms]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_implicit_biases_are_those_of_the_paper_however_written(name: str) -> None:
    activation, forms = ACTIVATIONS[name]
    x = floats(2, 3, 8, 8, seed=5)
    first, implicit, second = by_torch(activation, x)
    for form in forms:
        view = view_of(written(form), x, TARGETS)
        assert_complete(view)
        found = view.bias_terms()
        wanted = [first, second] if name in WITHOUT else [first, second, implicit]
        assert len(found) == len(wanted)
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * abs(theirs).max())
        assert (abs(implicit).max() > 1e-2) == (name not in WITHOUT)
        # All that has positions is in the map.
        signed = FullGrad("signed").explain(view).sum(axis=(1, 2))
        np.testing.assert_allclose(signed + view.bias_rest(), view.score, rtol=1e-4)


PARTS = {
    "squeeze and excitation": """
        m = GlobalAveragePool (c)
        s = Sigmoid (m)
        a = Mul (c, s)""",
    "normalised by its own statistics": "a = InstanceNormalization (c, ones, shift)",
    "a map of positions added": "a = Add (c, map)",
    "a map beside the channels": """
        cut = Slice (c, first, last, first)
        zero = Mul (cut, nothing)
        wide = Add (zero, map)
        b = Concat <axis = 1> (cut, wide)
        a = Slice (b, first, four, first)""",
    "softmax over channels": "a = Softmax <axis = 1> (c)",
    "attention over positions": """
        q = Reshape (c, rows)
        t = Transpose <perm = [0, 2, 1]> (q)
        k = MatMul (t, q)
        p = Softmax (k)
        o = MatMul (q, p)
        a = Reshape (o, shape)""",
    "largest of a number": "a = Max (c, half)",
    "lower where it is small": "g0 = Greater (c, half)\n a = Where (g0, c, half)",
    "square and root": "q = Mul (c, c)\n p = Add (q, half)\n a = Sqrt (p)",
    "rounded to few integers": "q = QuantizeLinear (c, scale, point)\n a = DequantizeLinear (q, scale, point)",
    "a stored bias rounded": """
        b8 = DequantizeLinear (rounded, scale)
        a = Conv <pads = [1, 1, 1, 1]> (c, square, b8)""",
}
STORED: dict[str, Any] = {
    "ones": np.ones(4, np.float32),
    "shift": floats(4, seed=7),
    "map": floats(1, 1, 8, 8, seed=8),
    "first": np.array([1]),
    "last": np.array([4]),
    "four": np.array([5]),
    "nothing": np.zeros((1, 1, 1, 1), np.float32),
    "rows": np.array([0, 4, -1]),
    "shape": np.array([0, 4, 8, 8]),
    "half": np.array(0.5, np.float32),
    "scale": np.array(0.02, np.float32),
    "point": np.array(100, np.uint8),
    "rounded": np.array([3, -50, 20, 90], np.int8),
    "square": floats(4, 4, 3, 3, seed=9) / 3,
}


@pytest.mark.parametrize("name", PARTS)
def test_every_kind_of_operator_is_complete(name: str) -> None:
    used = {key: array for key, array in STORED.items() if f"{key})" in PARTS[name] or f"{key}," in PARTS[name]}
    graph = f"""g (float[n, 3, 8, 8] x) => (float[n, 5] y) {{
        c = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        {PARTS[name]}
        d = Conv <pads = [1, 1, 1, 1]> (a, w2, b2)
        g = GlobalAveragePool (d)
        y = Flatten (g)
    }}"""
    made = onnxcam.Explainer(model(graph, {**WEIGHTS, **used}, 20), "full-grad", threads=1)
    assert_complete(view_of(made, floats(2, 3, 8, 8, seed=5), TARGETS), 1e-4)


@pytest.mark.parametrize("exporter", ["script", pytest.param("dynamo", marks=pytest.mark.slow)])
def test_efficientnet_lite_is_complete(exporter: str) -> None:
    made = onnxcam.Explainer(efficientnet_lite(exporter), "full-grad", preprocess=PREPROCESS, threads=1)
    view = view_of(made, made.read(photograph()).array)
    assert view.score[0] == pytest.approx(8.407, abs=1e-3)
    assert_complete(view)


# Attention beside a class token, integers in three forms, activations written out.
FILES = [
    ("vit_cifar10_fp32", 1e-5),
    ("resnet8_cifar10_tflite_int8", 1e-4),
    pytest.param("mobilenet_v2_torch_dynamo_fp32", 1e-5, marks=pytest.mark.slow),
    pytest.param("ppocr_cls_paddle", 1e-4, marks=pytest.mark.slow),
    pytest.param("mobilenet_v1_tf_qdq_uint8", 1e-4, marks=pytest.mark.slow),
    pytest.param("shufflenet_v2_qlinear_int8", 1e-4, marks=pytest.mark.slow),
    pytest.param("mobilenet_v2_torch_dynamo_dynquant", 1e-4, marks=pytest.mark.slow),
    pytest.param("squeezenet_caffe2_fp16", 1e-3, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "tolerance"), FILES)
def test_files_of_other_people_are_complete(name: str, tolerance: float) -> None:
    made = explainer(name, "full-grad", threads=1)
    x = np.concatenate([made.read(path).array for path in photographs(name)[:2]])
    assert_complete(view_of(made, x), tolerance)
