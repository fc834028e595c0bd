from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

import onnxcam
from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.axes import axis_meanings
from onnxcam.graph.analysis.layers import candidates
from onnxcam.graph.analysis.tokens import to_grid
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.models import floats, model

_WEIGHTS: dict[str, npt.NDArray[Any]] = {
    "w": floats(6, 3, 4, 4, seed=1) / 5,
    "q": floats(6, 6, seed=2) / 3,
    "k": floats(6, 6, seed=3) / 3,
    "v": floats(6, 6, seed=4) / 3,
    "head": floats(6, 5, seed=5),
    "to_tokens": np.array([0, 6, 6]),
    "cls": floats(1, 1, 6, seed=6),
    "one": np.array([1]),
    "two": np.array([2]),
    "end": np.array([2**62]),
    "first": np.array([0]),
    "last": np.array([-1]),
    "begin": np.array([-(2**62)]),
    "back": np.array([-1]),
    "zero": np.array(0),
    "middle": np.array([1]),
}
_TOKENS = """
    c = Conv <strides = [4, 4]> (x, w)
    flat = Reshape(c, to_tokens)
    patches = Transpose <perm = [0, 2, 1]> (flat)
"""


def _block(name: str, source: str, result: str) -> str:
    return f"""
    {name}q = MatMul({source}, q)  {name}k = MatMul({source}, k)  {name}v = MatMul({source}, v)
    {name}t = Transpose <perm = [0, 2, 1]> ({name}k)
    {name}s = MatMul({name}q, {name}t)  {name}p = Softmax({name}s)
    {name}m = MatMul({name}p, {name}v)  {result} = Add({source}, {name}m)
    """


def _proto(body: str) -> onnx.ModelProto:
    text = f"g (float[1, 3, 8, 12] x) => (float[1, 5] y) {{ {_TOKENS} {body} y = MatMul(pooled, head) }}"
    return model(text, _WEIGHTS)


def _graph(body: str) -> ir.Graph:
    return canonicalize(load(_proto(body)).ir).graph


# A class token before the patches, two blocks, and a head that reads the class token alone.
_VIT = f"""
    tokens = Concat <axis = 1> (cls, patches)
    {_block("a", "tokens", "b1")} {_block("b", "b1", "b2")}
    pooled = Gather <axis = 1> (b2, zero)
"""


def test_after_the_last_attention_only_the_class_token_is_read() -> None:
    layers = candidates(_graph(_VIT), "y")
    last = layers[-1]
    assert (last.name, last.axes, last.grid, last.before, last.after) == ("b1", "NTC", (2, 3), 1, 0)
    assert last.extent == (2, 3)


def test_with_mean_pooling_all_tokens_are_read_to_the_end() -> None:
    body = f"""{_block("a", "patches", "b1")}
    pooled = ReduceMean <keepdims = 0> (b1, middle)"""
    layers = candidates(_graph(body), "y")
    assert (layers[-1].name, layers[-1].before) == ("b1", 0)


def test_cutting_off_the_class_token_is_followed() -> None:
    body = f"""tokens = Concat <axis = 1> (cls, patches)
    {_block("a", "tokens", "b1")}
    cut = Slice(b1, one, end, one)
    pooled = ReduceMean <keepdims = 0> (cut, middle)"""
    last = candidates(_graph(body), "y")[-1]
    assert (last.name, last.grid, last.before) == ("cut", (2, 3), 0)


@pytest.mark.parametrize(("slicing", "known"), [("first, end, one", True), ("first, end, one, two", False)])
def test_of_tokens_with_some_left_out_between_no_positions_are_known(slicing: str, known: bool) -> None:
    graph = _graph(f"cut = Slice(patches, {slicing}) pooled = ReduceMean <keepdims = 0> (cut, middle)")
    assert (find_value(graph, "cut") in axis_meanings(graph)) == known


def test_tokens_in_reverse_order_have_no_known_positions() -> None:
    graph = _graph("cut = Slice(patches, last, begin, one, back) pooled = ReduceMean <keepdims = 0> (cut, middle)")
    assert find_value(graph, "cut") not in axis_meanings(graph)


def test_tokens_after_the_others_are_counted() -> None:
    body = f"""tokens = Concat <axis = 1> (patches, cls)
    {_block("a", "tokens", "b1")}
    pooled = ReduceMean <keepdims = 0> (b1, middle)"""
    last = candidates(_graph(body), "y")[-1]
    assert (last.before, last.after) == (0, 1)


def test_maps_of_tokens_are_maps_of_positions() -> None:
    proto, x = _proto(_VIT), floats(3, 3, 8, 12)
    result = onnxcam.Explainer(proto)(x, targets=2)
    assert result.raw.shape == (3, 2, 3)
    assert result.maps.shape == (3, 8, 12)
    by_name = onnxcam.Explainer(proto, grid=(3, 2))(x, targets=2)
    np.testing.assert_array_equal(by_name.raw.reshape(3, 6), result.raw.reshape(3, 6))


@pytest.mark.parametrize(
    ("count", "grid", "before", "after", "wanted", "shape", "first"),
    [
        (6, (2, 3), 0, 0, None, (2, 3), 0),
        (7, (2, 3), 1, 0, None, (2, 3), 1),
        (7, (2, 3), 0, 1, None, (2, 3), 0),
        (17, (), 0, 0, None, (4, 4), 1),
        (21, (), 0, 0, None, (4, 4), 5),
        (18, (2, 2), 2, 0, None, (4, 4), 2),
        (7, (), 0, 0, (2, 3), (2, 3), 1),
    ],
)
def test_tokens_become_a_grid(
    count: int,
    grid: tuple[int, ...],
    before: int,
    after: int,
    wanted: tuple[int, int] | None,
    shape: tuple[int, int],
    first: int,
) -> None:
    array = np.arange(count, dtype=np.float32)[None, None]
    found = to_grid(array, grid, before, after, wanted)
    assert found.shape == (1, 1, *shape)
    assert found.ravel()[0] == first


@pytest.mark.parametrize(("count", "wanted"), [(7, None), (5, (2, 3))])
def test_no_square_and_no_room_are_refused(count: int, wanted: tuple[int, int] | None) -> None:
    with pytest.raises(UnsupportedError, match="--grid"):
        to_grid(np.zeros((1, 1, count)), (), 0, 0, wanted)


@pytest.mark.parametrize(
    ("count", "extent", "shape", "first"),
    [
        (36, (64, 144), (4, 9), 0),
        (37, (64, 144), (4, 9), 1),
        (50, (80, 160), (5, 10), 0),
        (56, (100, 120), (7, 8), 0),
        (48, (100, 130), (6, 8), 0),
        (201, (224, 224), (14, 14), 5),
    ],
)
def test_tokens_are_patches_of_the_image(
    count: int, extent: tuple[int, int], shape: tuple[int, int], first: int
) -> None:
    """Of an open size the graph fixes no grid. A square that fits the number is none of an oblong image."""
    found = to_grid(np.arange(count, dtype=np.float32)[None, None], (), 0, 0, None, extent)
    assert found.shape == (1, 1, *shape)
    assert found.ravel()[0] == first


def test_tokens_that_are_no_patches_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="--grid"):
        to_grid(np.zeros((1, 1, 49)), (), 0, 0, None, (64, 144))
