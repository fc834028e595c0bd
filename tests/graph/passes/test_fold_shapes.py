from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.runtime.session import Session
from tests.helpers.models import floats, model


def _canonical(text: str, **constants: object) -> ir.Model:
    proto = model(text, {name: np.asarray(value) for name, value in constants.items()})
    canonical = canonicalize(load(proto).ir)
    x = floats(2, 3, 8, 8)
    before, after = (Session(p.SerializeToString(), ["cpu"]).run({"x": x}) for p in (proto, ir.to_proto(canonical)))
    np.testing.assert_array_equal(before["y"], after["y"])
    return canonical


def _operators(canonical: ir.Model) -> list[str]:
    return [node.op_type for node in canonical.graph]


def test_sizes_that_are_known_become_constants() -> None:
    canonical = _canonical(
        """g (float[n, 3, 8, 8] x) => (float[a, b, c] y) {
            s = Shape(x)  h = Gather(s, two)  w = Gather(s, three)  hw = Mul(h, w)
            u = Unsqueeze(hw, zero)  channels = Slice(s, first, second)
            target = Concat <axis = 0> (minus, channels, u)  y = Reshape(x, target)
        }""",
        two=2,
        three=3,
        zero=[0],
        first=[1],
        second=[2],
        minus=[-1],
    )
    assert _operators(canonical) == ["Reshape"]
    shape = canonical.graph.outputs[0].shape
    assert shape is not None
    assert list(shape.dims[1:]) == [3, 64]


def test_an_open_batch_stays_open_and_the_other_sizes_are_known() -> None:
    canonical = _canonical(
        """g (float[n, 3, 8, 8] x) => (float[a, b, c] y) {
            s = Shape(x)  n0 = Gather(s, zero)  u = Unsqueeze(n0, axis)
            target = Concat <axis = 0> (u, rest)  y = Reshape(x, target)
        }""",
        zero=0,
        axis=[0],
        rest=[3, 64],
    )
    assert "Shape" in _operators(canonical)
    shape = canonical.graph.outputs[0].shape
    assert shape is not None
    assert list(shape.dims[1:]) == [3, 64]
    assert not isinstance(shape[0], int)


def test_an_expanded_class_token_has_known_sizes() -> None:
    canonical = _canonical(
        """g (float[n, 3, 8, 8] x) => (float[a, b, c] y) {
            s = Shape(x)  n0 = Gather(s, zero)  u = Unsqueeze(n0, axis)
            wish = Concat <axis = 0> (u, minus, minus)  open = Equal(wish, minus)  ones = ConstantOfShape(three)
            target = Where(open, token_ones, wish)  token = Expand(cls, target)  y = Identity(token)
        }""",
        zero=0,
        axis=[0],
        minus=[-1],
        three=[3],
        token_ones=[1, 1, 1],
        cls=floats(1, 1, 6),
    )
    shapes = {node.op_type: node.outputs[0].shape for node in canonical.graph}
    expanded = shapes["Expand"]
    assert expanded is not None
    assert list(expanded.dims[1:]) == [1, 6]


def test_a_question_about_a_rank_is_answered() -> None:
    """As torch.tile asks it; the sizes themselves are open."""
    canonical = _canonical(
        """g (float[n, 3, h, w] x) => (float[a, b, c, d] y) {
            s = Shape(x)  rank = Size(s)  extra = Sub(rank, four)  more = Greater(extra, none)
            y = If (more) <then_branch = t () => (float[a, b, c, d] p) { p = Neg(x) },
                else_branch = e () => (float[a, b, c, d] q) { q = Tanh(x) }>
        }""",
        four=4,
        none=[0],
    )
    assert _operators(canonical) == ["Tanh"]


@pytest.mark.parametrize(
    ("compare", "branch"),
    [("Greater", "Neg"), ("GreaterOrEqual", "Neg"), ("Less", "Tanh"), ("LessOrEqual", "Tanh"), ("Equal", "Tanh")],
)
def test_sizes_are_compared_where_they_are_known(compare: str, branch: str) -> None:
    """The channels, between sizes that are open."""
    canonical = _canonical(
        f"""g (float[n, 3, h, w] x) => (float[a, b, c, d] y) {{
            s = Shape(x)  all = {compare}(s, two)  one = Gather(all, axis)
            y = If (one) <then_branch = t () => (float[a, b, c, d] p) {{ p = Neg(x) }},
                else_branch = e () => (float[a, b, c, d] q) {{ q = Tanh(x) }}>
        }}""",
        two=[2],
        axis=1,
    )
    assert _operators(canonical) == [branch]


def test_parts_of_constants_are_constants() -> None:
    canonical = _canonical(
        """g (float[n, 3, 8, 8] x) => (float[n, 3, 8, 8] y) {
            first, second = Split (both, lengths)  target = Add(first, second)  y = Reshape(x, target)
        }""",
        both=[-1, 1, 4, 4, 0, 2, 4, 4],
        lengths=[4, 4],
    )
    assert _operators(canonical) == ["Reshape"]


def test_parts_of_sizes_are_known_one_by_one() -> None:
    canonical = _canonical(
        """g (float[n, 3, 8, 8] x) => (float[a, b] y) {
            s = Shape(x)  batch, image, unused = Split (s, lengths)
            channels, height = Split <num_outputs = 2> (image)
            area = Mul(height, height)  flat = Mul(channels, area)
            target = Concat <axis = 0> (batch, flat)  y = Reshape(x, target)
        }""",
        lengths=[1, 2, 1],
    )
    assert {"Concat", "Reshape"} <= set(_operators(canonical))
    assert "Mul" not in _operators(canonical)
    shape = canonical.graph.outputs[0].shape
    assert shape is not None
    assert shape[1] == 192


def test_weights_and_large_constants_stay() -> None:
    canonical = _canonical(
        """g (float[n, 3, 8, 8] x) => (float[n, 3, 8, 8] y) { t = Transpose <perm = [1, 0]> (w)  y = MatMul(x, t) }""",
        w=np.tile(floats(8, 8), (1, 1)),
    )
    assert _operators(canonical)[-1] == "MatMul"


def test_interpolation_is_left_to_the_engine() -> None:
    """onnx's evaluator averages other positions than engines where a result is smaller (antialias, aligned corners)."""
    canonical = _canonical(
        """g (float[n, 3, 8, 8] x) => (float[n, 3, 8, 4] y) {
            m = Resize <antialias = 1, mode = "linear", coordinate_transformation_mode = "align_corners">
                (eye, , scales)
            y = MatMul(x, m)
        }""",
        eye=np.eye(8, dtype=np.float32),
        scales=np.array([1, 0.5], np.float32),
    )
    assert _operators(canonical) == ["Resize", "MatMul"]
