"""The forms that derivatives are written in: which is chosen, and that a mask stops what is infinite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx.parser
import pytest

from onnxcam.autodiff.builder import Shape
from onnxcam.autodiff.lowering import ConvForm, conv_input_gradient, map_sizes
from onnxcam.autodiff.registry import Table, find_rule, gradient_table
from onnxcam.autodiff.windows import Window
from tests.helpers.checks import OnnxRuntime, assert_close, differentiate
from tests.helpers.sample import Array
from tests.helpers.scaling import scaled


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


_GATED = """<ir_version: 8, opset_import: ["": 18]> g (float[2,16,SIZE] x) => (float[2,16,SIZE] y)
    <float[16,16,1,1] w, float[16,16,1,1] v> {
        space = Constant<value_ints=[2, 3]>() a = HardSwish(x) m = MEAN k = Conv(m, w) gate = HardSigmoid(k)
        gated = Mul(a, gate) y = Conv(gated, v)
    }"""


def _gated(size: str, mean: str = "ReduceMean(a, space)") -> onnx.ModelProto:
    model = onnx.parser.parse_model(_GATED.replace("SIZE", size).replace("MEAN", mean))
    rng = np.random.default_rng(0)
    for name in ("w", "v"):
        weight = rng.standard_normal((16, 16, 1, 1)).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    return model


def _gradient_of_gated(model: onnx.ModelProto, table: Table | None = None) -> tuple[set[str], Array]:
    proto = differentiate(model, "y", ["x"], table)
    rng = np.random.default_rng(1)
    feeds = {name: rng.standard_normal((2, 16, 3, 5)).astype(np.float32) for name in ("x", "cotangent")}
    return {node.op_type for node in proto.graph.node}, OnnxRuntime(proto)(feeds)["grad/x"]


@pytest.mark.parametrize("mean", ["ReduceMean(a, space)", "GlobalAveragePool(a)"])
def test_gates_of_maps_give_what_gates_of_unknown_size_give(mean: str) -> None:
    general, wanted = _gradient_of_gated(_gated("h,w", mean))
    blocked, found = _gradient_of_gated(_gated("3,5", mean))
    assert {"Expand", "ReduceSum"} <= general - {"GlobalAveragePool"}
    assert {"Resize", "GlobalAveragePool"} <= blocked
    assert_close(found, wanted, 1e-5)


@pytest.mark.parametrize(("op", "index"), [("Mul", 0), ("Mul", 1), ("ReduceMean", 0)])
def test_a_gate_that_is_wrong_by_a_thousandth_is_seen(op: str, index: int) -> None:
    _, wanted = _gradient_of_gated(_gated("h,w"))
    rule = find_rule(gradient_table(), "", op, 18)
    assert rule is not None
    _, found = _gradient_of_gated(_gated("3,5"), scaled(rule, index))
    with pytest.raises(AssertionError):
        assert_close(found, wanted, 1e-5)


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        (("n", 16, 2, 3), [16, 2, 3]),
        (("n", 16, 1, 1), []),
        (("n", 8, 2, 3), []),
        (("n", 16, "h", 3), []),
        (("n", 16, 6), []),
        (None, []),
    ],
)
def test_which_maps_are_kept_in_blocks(shape: Shape | None, sizes: list[int]) -> None:
    assert map_sizes(shape) == sizes
