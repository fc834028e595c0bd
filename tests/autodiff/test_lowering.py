"""The forms that derivatives are written in: which is chosen, and that a mask stops what is infinite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx.parser
import pytest

from onnxcam.autodiff.lowering import ConvForm, conv_input_gradient
from onnxcam.autodiff.windows import Window
from tests.autodiff.checks import OnnxRuntime, differentiate


def _model(body: str) -> onnx.ModelProto:
    text = f'<ir_version: 8, opset_import: ["": 18]> g (float[4] x) => (float[4] y) {{ {body} }}'
    return onnx.parser.parse_model(text)


@pytest.mark.parametrize(
    "body",
    [
        "r = Relu(x) y = Sqrt(r)",
        "r = HardSigmoid<alpha=1.0, beta=0.0>(x) y = Sqrt(r)",
        "zero = Constant<value_float=0.0>() r = Clip(x, zero) y = Sqrt(r)",
        "r = Relu(x) s = Add(r, r) y = Sqrt(s)",
        "r = Relu(x) h = Constant<value_float=0.5>() y = Pow(r, h)",
    ],
)
def test_nothing_infinite_passes_where_the_slope_is_zero(body: str) -> None:
    model = differentiate(_model(body), "y", ["x"])
    x = np.array([-1, -2, 0.25, 0.5], np.float32)
    gradient = OnnxRuntime(model)({"x": x, "cotangent": np.ones(4, np.float32)})["grad/x"]
    assert np.isfinite(gradient).all()
    assert (gradient[:2] == 0).all()
    assert (gradient[2:] > 0).all()


def test_the_smallest_numbers_pass_a_relu_whole() -> None:
    model = differentiate(_model("y = Relu(x)"), "y", ["x"])
    tiny = float(np.finfo(np.float32).tiny)
    x = np.array([tiny, -tiny, 0, 3e38], np.float32)
    gradient = OnnxRuntime(model)({"x": x, "cotangent": np.full(4, 3, np.float32)})["grad/x"]
    assert gradient.tolist() == [3, 0, 0, 3]


@pytest.mark.parametrize(
    ("strides", "group", "sizes", "form"),
    [
        ((1, 1), 1, (8, 8), ConvForm.FLIPPED),
        ((1, 1), 4, (8, 8), ConvForm.FLIPPED),
        ((2, 2), 4, (8, 8), ConvForm.STUFFED),
        ((2, 2), 4, ("h", "w"), ConvForm.TRANSPOSED),
        ((2, 2), 1, (8, 8), ConvForm.TRANSPOSED),
    ],
)
def test_form_of_a_convolution(
    strides: tuple[int, int], group: int, sizes: Sequence[int | str], form: ConvForm
) -> None:
    win = Window((3, 3), strides, (1, 1), (1, 1), (1, 1))
    assert conv_input_gradient(win, ("n", 4, *sizes), (4, 4 // group, 3, 3), group) is form
