from __future__ import annotations

import numpy as np
import pytest

from onnxcam.diagnostics.verification import verify
from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.batch import batch_size
from onnxcam.graph.analysis.inputs import image_input, model_inputs
from onnxcam.graph.analysis.linear_head import is_gap_linear
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from onnxcam.graph.passes.open_batch import OpenBatch
from onnxcam.network.read import read_network
from tests.helpers.models import classifier, floats, model

_W = {"w": floats(4, 3, 3, 3), "v": floats(2, 4), "b": floats(2)}


def _image(text: str) -> tuple[str, tuple[int | None, ...], str]:
    entry = image_input(canonicalize(load(model(text, _W)).ir).graph)
    return entry.axes, entry.shape, entry.value


def test_channels_first_and_last_follow_from_the_first_convolution() -> None:
    first = "g (float[n, 3, 8, 8] x) => (float[n, 4, 6, 6] y) { y = Conv(x, w) }"
    last = (
        "g (float[1, 8, 8, 3] x) => (float[1, 4, 6, 6] y) { t = Transpose <perm = [0, 3, 1, 2]> (x)  y = Conv(t, w) }"
    )
    assert _image(first) == ("NCHW", (None, 3, 8, 8), "x")
    assert _image(last) == ("NHWC", (1, 8, 8, 3), "x")


def test_elementwise_preprocessing_before_the_network_is_passed() -> None:
    text = """g (float[n, 8, 8, 3] x) => (float[n, 4, 6, 6] y) {
        s = Mul(x, x)  t = Transpose <perm = [0, 3, 1, 2]> (s)  y = Conv(t, w)
    }"""
    assert _image(text)[0] == "NHWC"


def test_integers_are_explained_where_they_become_floats() -> None:
    text = "g (uint8[n, 3, 8, 8] x) => (float[n, 4, 6, 6] y) { f = Cast <to = 1> (x)  y = Conv(f, w) }"
    assert _image(text) == ("NCHW", (None, 3, 8, 8), "f")


def test_sizes_decide_where_no_convolution_is_near() -> None:
    assert _image("g (float[n, 8, 8, 3] x) => (float[n, 8, 8, 3] y) { y = Relu(x) }")[0] == "NHWC"
    assert _image("g (float[n, 3, 8, 8] x) => (float[n, 3, 8, 8] y) { y = Relu(x) }")[0] == "NCHW"


def test_a_table_is_no_image() -> None:
    graph = canonicalize(load(model("g (float[n, 3] x) => (float[n, 3] y) { y = Relu(x) }")).ir).graph
    assert [entry.axes for entry in model_inputs(graph)] == [""]
    with pytest.raises(UnsupportedError, match="no input"):
        image_input(graph)


def test_the_batch_axis_is_read_and_opened() -> None:
    fixed, free = (canonicalize(load(classifier(batch=batch)).ir) for batch in ("1", "n"))
    assert batch_size(fixed.graph) == 1
    assert batch_size(free.graph) is None
    opened = OpenBatch()(fixed).model
    assert batch_size(opened.graph) is None
    assert batch_size(fixed.graph) == 1, "the given model was changed"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("p = GlobalAveragePool(a)  f = Flatten(p)  y = Gemm <transB = 1> (f, v, b)", True),
        ("m = ReduceMean <keepdims = 0> (a, hw)  y = Gemm <transB = 1> (m, v)", True),
        ("p = AveragePool <kernel_shape = [6, 6]> (a)  f = Flatten(p)  y = Gemm <transB = 1> (f, v)", True),
        ("p = GlobalAveragePool(a)  y = Flatten(p)", True),
        ("p = GlobalAveragePool(a)  f = Flatten(p)  n = BatchNormalization(f, k, k, k, k)  y = Gemm(n, v6)", True),
        ("n = BatchNormalization(a, k, k, k, k)  p = GlobalAveragePool(n)  y = Flatten(p)", True),
        ("p = GlobalAveragePool(a)  f = Flatten(p)  m = Mul(k, f)  d = Div(m, k)  y = Gemm(d, v6)", True),
        ("m = Mul(a, places)  p = GlobalAveragePool(m)  y = Flatten(p)", False),
        ("p = GlobalAveragePool(a)  f = Flatten(p)  m = Mul(f, f)  y = Gemm(m, v6)", False),
        ("p = GlobalAveragePool(a)  f = Flatten(p)  m = Div(k, f)  y = Gemm(m, v6)", False),
        ("p = GlobalMaxPool(a)  f = Flatten(p)  y = Gemm <transB = 1> (f, v)", False),
        ("p = AveragePool <kernel_shape = [5, 5]> (a)  f = Flatten(p)  y = Gemm <transB = 1> (f, v2)", False),
        ("p = GlobalAveragePool(a)  f = Flatten(p)  r = Relu(f)  y = Gemm <transB = 1> (r, v)", False),
        ("m = ReduceMean <keepdims = 0> (a, ch)  f = Flatten(m)  y = Gemm <transB = 1> (f, v3)", False),
        ("f = Flatten(a)  y = Gemm <transB = 1> (f, v4)", False),
        (
            "p = GlobalAveragePool(a)  f = Flatten(p)  h = Gemm <transB = 1> (f, v)  y = Gemm <transB = 1> (h, v5)",
            False,
        ),
    ],
)
def test_heads_with_global_average_pooling_are_known(head: str, expected: bool) -> None:
    weights = {
        **_W,
        "hw": np.array([2, 3]),
        "ch": np.array([1, 2]),
        "v2": floats(2, 16),
        "v3": floats(2, 24),
        "v4": floats(2, 144),
        "v5": floats(2, 2),
        "v6": floats(4, 2),
        "k": np.ones(4, np.float32),
        "places": floats(6, 6),
    }
    text = f"g (float[n, 3, 8, 8] x) => (float[n, 2] y) {{ c = Conv(x, w)  a = Relu(c)  {head} }}"
    graph = canonicalize(load(model(text, weights)).ir).graph
    if "v3" in head:
        graph.outputs[0].shape = None
    assert is_gap_linear(graph, "a", "y") is expected


def test_words_lie_below_the_length_of_their_table() -> None:
    text = """g (int32[n] ids, float[n, 3, 8, 8] x) => (float[n, 4] y) {
        at = Cast <to = 7> (ids) e = Gather (table, at) c = Conv (x, w) p = GlobalAveragePool (c)
        f = Flatten (p) y = Add (e, f)
    }"""
    proto = model(text, {"w": floats(4, 3, 3, 3), "table": floats(6, 4)})
    ids, x = model_inputs(canonicalize(load(proto).ir).graph)
    assert (ids.below, x.below) == (6, None)
    found = verify(read_network(proto), None)
    assert found.agrees
    assert [row.verdict for row in found.rows] == ["skipped", "agrees", "agrees"]
