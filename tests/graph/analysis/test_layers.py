from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import onnxcam
from onnxcam.errors import NameNotFoundError, UnsupportedError
from onnxcam.graph.analysis.layers import candidates, find_layer
from onnxcam.graph.io.load import load
from onnxcam.graph.operators import Trait, operators_with
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.models import classifier, floats, model


def _classifier() -> ir.Graph:
    return canonicalize(load(classifier()).ir).graph


def _graph(text: str) -> ir.Graph:
    weights = {"w": floats(3, 3, 3, 3), "v": floats(2, 3), "k": floats(3, 3, 1, 1)}
    return canonicalize(load(model(text, weights)).ir).graph


def test_activations_stand_for_their_convolutions() -> None:
    layers = candidates(_classifier(), "logits")
    assert [(layer.name, layer.op_type, layer.axes) for layer in layers] == [
        ("a1", "Relu", "NCHW"),
        ("a2", "Relu", "NCHW"),
    ]
    assert layers[-1].extent == (4, 4)


@pytest.mark.parametrize("op_type", sorted(operators_with(Trait.ACTIVATION)))
def test_every_activation_stands_for_its_convolution(op_type: str) -> None:
    further = {"PRelu": ", slope", "Clip": ", low"}.get(op_type, "")
    assert _named(f"a = {op_type} (c{further})") == ["a"]
    assert _named("a = Tile (c, ones)") == ["c", "a"]


def test_an_activation_written_out_with_a_logarithm_stands_for_its_convolution() -> None:
    assert _named("e = Exp (c) o = Add (e, one) l = Log (o) t = Tanh (l) a = Mul (c, t)") == ["a"]


def _named(nodes: str) -> list[str]:
    """Return the layers of a convolution and what follows it, up to a linear classifier of its means."""
    constants: dict[str, Any] = {"slope": floats(3, 1, 1), "low": np.array(0, np.float32), "ones": np.ones(4, np.int64)}
    constants["one"] = np.array(1, np.float32)
    ending = "p = GlobalAveragePool (a) y = Flatten (p)"
    text = f"g (float[n,3,8,8] x) => (float[n,3] y) {{ c = Conv (x, k) {nodes} {ending} }}"
    weights = {"k": floats(3, 3, 1, 1)} | {name: value for name, value in constants.items() if name in nodes}
    return [layer.name for layer in candidates(canonicalize(load(model(text, weights, 24)).ir).graph, "y")]


def test_the_last_layer_is_the_default() -> None:
    assert find_layer(_classifier(), "logits").name == "a2"


@pytest.mark.parametrize("wanted", ["a1", "c1", -2, 0, "-2", "0"])
def test_layers_go_by_name_or_index(wanted: str | int) -> None:
    assert find_layer(_classifier(), "logits", wanted).name == ("c1" if wanted == "c1" else "a1")


def test_layers_go_by_node_name() -> None:
    proto = classifier()
    proto.graph.node[1].name = "first activation"
    assert find_layer(canonicalize(load(proto).ir).graph, "logits", "first activation").name == "a1"


@pytest.mark.parametrize("index", [2, -3])
def test_an_index_too_far_is_refused(index: int) -> None:
    with pytest.raises(NameNotFoundError, match="offers 2"):
        find_layer(_classifier(), "logits", index)


def test_a_typo_is_met_with_near_names() -> None:
    with pytest.raises(NameNotFoundError, match="did you mean"):
        find_layer(_classifier(), "logits", "a22")


def test_a_value_without_space_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="no axes"):
        find_layer(_classifier(), "logits", "flat")


def test_one_position_is_refused_and_never_offered() -> None:
    graph = _graph(
        """g (float[n, 3, 8, 8] x) => (float[n, 2] y) {
            a = Conv(x, w)  p = GlobalAveragePool(a)  f = Flatten(p)  y = Gemm <transB = 1> (f, v)
        }"""
    )
    assert [layer.name for layer in candidates(graph, "y")] == ["a"]
    with pytest.raises(UnsupportedError, match="one position"):
        find_layer(graph, "y", "p")


def test_branches_are_no_bottlenecks() -> None:
    graph = _graph(
        """g (float[n, 3, 8, 8] x) => (float[n, 2] y) {
            a = Conv <pads = [1, 1, 1, 1]> (x, w)
            b = Conv(a, k)  c = Sigmoid(a)  d = Mul(b, c)
            p = GlobalAveragePool(d)  f = Flatten(p)  y = Gemm <transB = 1> (f, v)
        }"""
    )
    assert [layer.name for layer in candidates(graph, "y")] == ["a", "d"]


def test_channels_last_is_followed() -> None:
    graph = _graph(
        """g (float[n, 3, 8, 8] x) => (float[n, 2] y) {
            a = Conv(x, w)  t = Transpose <perm = [0, 2, 3, 1]> (a)  r = Relu(t)
            axes = Constant <value = int64[2] {1, 2}> ()
            m = ReduceMean <keepdims = 0> (r, axes)  y = Gemm <transB = 1> (m, v)
        }"""
    )
    layer = find_layer(graph, "y")
    assert (layer.name, layer.axes, layer.extent) == ("r", "NHWC", (6, 6))


def test_a_network_without_space_names_the_way_out() -> None:
    graph = canonicalize(
        load(model("g (float[n, 3] x) => (float[n, 2] y) { y = Gemm <transB = 1> (x, v) }", {"v": floats(2, 3)})).ir
    ).graph
    with pytest.raises(UnsupportedError, match="gradient-x-input"):
        find_layer(graph, "y")


TURNED = {"w": floats(4, 3, 3, 3), "v": floats(4, 4, 3, 3), "f": floats(4, 2)}


@pytest.mark.parametrize(
    ("turn", "axes"),
    [
        ("t = Transpose <perm = [0, 1, 3, 2]> (c) d = Conv (t, v) y = GlobalAveragePool (d)", "NCWH"),
        ("d = Transpose <perm = [0, 3, 2, 1]> (c) y = ReduceMean <keepdims = 0> (d, places)", "NWHC"),
    ],
)
def test_rows_stay_rows_where_a_network_exchanges_them(turn: str, axes: str) -> None:
    """The picture is not to lie on its side: a bright row of the image is a row of the map."""
    text = f"g (float[n, 3, 15, 12] x) => (y) {{ c = Conv (x, w) {turn} }}"
    proto = model(text, TURNED | {"places": np.array([1, 2])})
    made = onnxcam.Explainer(proto, "hires-cam", "d", preprocess="unit")
    assert made.layer.axes == axes
    x = np.zeros((1, 3, 15, 12), np.float32)
    x[:, :, 4] = floats(3, 1)
    raw = made(x, 1).raw[0]
    assert raw.shape == ((11, 8) if axes == "NCWH" else (13, 10))
    lit = np.abs(raw).sum(axis=1) > 1e-6
    assert lit.any()
    assert not lit.all()


def test_the_image_of_two_inputs_is_what_layers_belong_to() -> None:
    graph = _graph(
        """g (float[n, 3, 8, 8] left, float[n, 3, 8, 8] right) => (float[n, 4] y) {
            a = Conv (left, w) p = GlobalAveragePool (a)
            b = Conv (right, w) q = GlobalAveragePool (b)
            s = Add (p, q) y = Flatten (s)
        }"""
    )
    assert [layer.name for layer in candidates(graph, "y")] == ["a"]


def test_a_layer_that_does_not_count_samples_first_is_none() -> None:
    text = """g (float[n, 3, 8, 8] x) => (float[n, 4] y) {
        a = Conv (x, w) r = Reshape (a, joined) t = Transpose <perm = [2, 0, 1]> (r)
        e = Exp (t) y = ReduceMean <keepdims = 0> (e, first)
    }"""
    proto = model(text, {"w": floats(4, 3, 3, 3), "joined": np.array([0, 4, -1]), "first": np.array([0])})
    graph = canonicalize(load(proto).ir).graph
    assert [layer.name for layer in candidates(graph, "y")] == ["a"]
    with pytest.raises(UnsupportedError, match="something else than samples"):
        find_layer(graph, "y", "t")


def test_the_class_token_of_a_signal_is_no_position() -> None:
    text = """g (float[n, 2, 24] x) => (float[n, 5] y) {
        c = Conv <strides = [4]> (x, w) t = Transpose <perm = [0, 2, 1]> (c)
        first = Expand (zero, one_token) j = Concat <axis = 1> (first, t) e = MatMul (j, v)
        y = ReduceMean <keepdims = 0> (e, tokens)
    }"""
    weights = {"w": floats(5, 2, 4), "v": floats(5, 5), "zero": np.zeros((1, 1, 1), np.float32)}
    shapes = {"one_token": np.array([1, 1, 5]), "tokens": np.array([1])}
    made = onnxcam.Explainer(model(text.replace("[n,", "[1,"), weights | shapes), "hires-cam", preprocess="unit")
    assert (made.layer.axes, made.layer.grid, made.layer.before) == ("NTC", (6,), 1)
    assert made(floats(1, 2, 24)).raw.shape == (1, 6)


PARTS = {"w": floats(4, 3, 2, 2, seed=1), "v": floats(4, 5, seed=2), "merge": floats(16, 4, seed=3)}
# Into windows and back, as a block of MaxViT does, with something unknown inside.
WINDOWS = """p = Reshape (c, cut) q = Transpose <perm = [0, 2, 4, 3, 5, 1]> (p) r = Reshape (q, windows)
    s = Softmax (r) t = Reshape (s, apart) u = Transpose <perm = [0, 5, 1, 3, 2, 4]> (t) d = Reshape (u, together)"""
WINDOW_SIZES = {
    "cut": np.array([0, 4, 2, 2, 3, 2]),
    "windows": np.array([0, 6, 4, 4]),
    "apart": np.array([0, 2, 3, 2, 2, 4]),
    "together": np.array([0, 4, 4, 6]),
    "space": np.array([2, 3]),
}


@pytest.mark.parametrize(
    "pool", ["m = GlobalAveragePool (d) f = Flatten (m)", "f = ReduceMean <keepdims = 0> (d, space)"]
)
def test_what_a_pool_reads_is_an_image_wherever_it_comes_from(pool: str) -> None:
    text = f"g (float[n, 3, 8, 12] x) => (float[n, 5] y) {{ c = Conv <strides = [2, 2]> (x, w) {WINDOWS} {pool}"
    proto = model(f"{text} y = MatMul (f, v) }}", PARTS | WINDOW_SIZES)
    made = onnxcam.Explainer(proto, preprocess="unit")
    assert (made.layer.name, made.layer.axes, made.layer.extent) == ("d", "NCHW", (4, 6))
    x = np.zeros((1, 3, 8, 12), np.float32)
    x[:, :, 4:6, 6:8] = 3
    marked = made.view(x, 0).a - made.view(np.zeros_like(x), 0).a
    assert [tuple(place) for place in np.argwhere(np.abs(marked[0]).sum(axis=0) > 1e-6)] == [(2, 3)]


@pytest.mark.parametrize("first", [True, False])
def test_merged_patches_are_positions(first: bool) -> None:
    """Two by two positions become one, channels last (Swin) or first; a marked patch stays in its place."""
    last = """t = Transpose <perm = [0, 2, 3, 1]> (c) p = Reshape (t, cut) q = Transpose <perm = [0, 1, 3, 4, 2, 5]> (p)
        r = Reshape (q, merged) d = Relu (r) f = ReduceMean <keepdims = 0> (d, space)"""
    channels_first = """p = Reshape (c, cut) q = Transpose <perm = [0, 1, 3, 5, 2, 4]> (p)
        r = Reshape (q, merged) d = Relu (r) f = ReduceMean <keepdims = 0> (d, space)"""
    sizes = {
        "cut": np.array([0, 4, 2, 2, 3, 2] if first else [0, 2, 2, 3, 2, 4]),
        "merged": np.array([0, 16, 2, 3] if first else [0, 2, 3, 16]),
        "space": np.array([2, 3] if first else [1, 2]),
    }
    body = f"c = Conv <strides = [2, 2]> (x, w) {channels_first if first else last} y = MatMul (f, merge)"
    made = onnxcam.Explainer(model(f"g (float[n, 3, 8, 12] x) => (float[n, 4] y) {{ {body} }}", PARTS | sizes))
    assert (made.layer.name, made.layer.axes, made.layer.extent) == ("d", "NCHW" if first else "NHWC", (2, 3))
    x = np.zeros((1, 3, 8, 12), np.float32)
    x[:, :, 4:8, 8:12] = 3
    marked = made.view(x, 0).a
    assert [tuple(place) for place in np.argwhere(np.abs(marked[0]).sum(axis=0) > 1e-6)] == [(1, 2)]


def test_the_image_itself_is_no_layer() -> None:
    """However it is arranged before the first convolution reads it."""
    text = """g (float[n, 8, 8, 3] x) => (float[n, 2] y) {
        t = Transpose <perm = [0, 3, 1, 2]> (x) c = Conv (t, w) p = GlobalAveragePool (c) f = Flatten (p)
        y = Gemm <transB = 1> (f, v)
    }"""
    assert [layer.name for layer in candidates(_graph(text), "y")] == ["c"]


@pytest.mark.parametrize("size", [[0, 4, 4, 4], "shape of c"])
def test_groups_of_channels_are_no_layer(size: list[int] | str) -> None:
    """GroupNorm as exported: groups put in a row with space are normalised, and put back."""
    back = "s = Shape (c) b = Reshape (i, s)" if isinstance(size, str) else "b = Reshape (i, back)"
    text = f"""g (float[n, 3, 8, 8] x) => (float[n, 2] y) {{
        c = Conv <strides = [2, 2], kernel_shape = [2, 2]> (x, w) r = Reshape (c, rows)
        i = InstanceNormalization (r, one, zero) {back} m = Mul (b, scale) d = Relu (m) f = Flatten (d)
        y = MatMul (f, v)
    }}"""
    weights = {
        "w": floats(4, 3, 2, 2),
        "rows": np.array([0, 2, -1]),
        "one": np.ones(2, np.float32),
        "zero": np.zeros(2, np.float32),
        "scale": floats(4, 1, 1),
        "v": floats(64, 2),
        "back": np.array(size if isinstance(size, list) else []),
    }
    graph = canonicalize(load(model(text, weights)).ir).graph
    found = [(layer.name, layer.axes, layer.extent) for layer in candidates(graph, "y")]
    assert found == [("c", "NCHW", (4, 4)), ("d", "NCHW", (4, 4))]
