"""Which layers are offered where the network normalises: by elementary operators, and beside other paths."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from onnxcam.graph.analysis.layers import candidates
from onnxcam.graph.analysis.scale_invariance import sums_to_zero
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.models import floats, model

_WEIGHTS: dict[str, npt.NDArray[Any]] = {
    "w": floats(6, 3, 4, 4, seed=1),
    "square": floats(6, 6, seed=2),
    "head": floats(6, 5, seed=3),
    "scale": floats(6, seed=4),
    "shift": floats(6, seed=5),
    "cls": floats(1, 1, 6, seed=6),
    "to_tokens": np.array([0, 6, 6]),
    "channels": np.array([2]),
    "positions": np.array([1]),
    "space": np.array([2, 3]),
    "zero": np.array(0),
    "tiny": np.array(1e-6, np.float32),
    "large": np.array(0.5, np.float32),
    "two": np.array(2, np.float32),
    "half": np.array(0.5, np.float32),
}
_TOKENS = "c = Conv <strides = [4, 4]> (x, w) f = Reshape (c, to_tokens) p = Transpose <perm = [0, 2, 1]> (f)"
# Attention that reads n, beside the shortcut r; only the class token is read after it.
_ATTENTION = """
    k = MatMul (n, square) t = Transpose <perm = [0, 2, 1]> (k) s = MatMul (n, t) a = Softmax (s) m = MatMul (a, n)
    o = Add (r, m) l = LayerNormalization (o, scale, shift) q = Gather <axis = 1> (l, zero) y = MatMul (q, head)
"""
_CLASS_TOKEN = "r = Concat <axis = 1> (cls, p)"


def _graph(body: str) -> ir.Graph:
    text = f"g (float[1, 3, 8, 12] x) => (float[1, 5] y) {{ {body} }}"
    return canonicalize(load(model(text, _WEIGHTS)).ir).graph


def _default(body: str) -> str:
    return candidates(_graph(body), "y")[-1].name


NORMALISATIONS = {
    "an operator": "n = LayerNormalization (r, scale, shift)",
    "of length": "n = LpNormalization <axis = 2> (r)",
    "length by elementary operators": "e = ReduceL2 (r, channels) d = Max (e, tiny) n = Div (r, d)",
    "with scale and shift": "u = LpNormalization <axis = 2> (r) v = Mul (u, scale) n = Add (v, shift)",
    "mean and variance": """e = ReduceMean (r, channels) d = Sub (r, e) z = Pow (d, two) v = ReduceMean (z, channels)
        h = Add (v, tiny) g = Sqrt (h) u = Div (d, g) b = Mul (u, scale) n = Add (b, shift)""",
    "root mean square": """z = Mul (r, r) v = ReduceMean (z, channels) h = Add (v, tiny) g = Sqrt (h)
        i = Reciprocal (g) u = Mul (r, i) n = Mul (u, scale)""",
    "the mean taken off last": """e = ReduceMean (r, channels) d = Sub (r, e) z = Mul (d, d)
        v = ReduceMean (z, channels) h = Add (v, tiny) g = Pow (h, half) i = Reciprocal (g) j = Mul (i, scale)
        u = Mul (r, j) b = Mul (e, j) a2 = Sub (shift, b) n = Add (u, a2)""",
    "after a rectifier": "d = Relu (r) n = LayerNormalization (d, scale, shift)",
}


@pytest.mark.parametrize("text", NORMALISATIONS.values(), ids=NORMALISATIONS)
def test_what_the_last_attention_reads_is_the_default(text: str) -> None:
    graph = _graph(f"{_TOKENS} {_CLASS_TOKEN} {text} {_ATTENTION}")
    last = candidates(graph, "y")[-1]
    assert (last.name, last.axes, last.grid, last.before) == ("n", "NTC", (2, 3), 1)
    assert "r" not in [layer.name for layer in candidates(graph, "y")]


OTHERS = {
    "an epsilon that counts": "e = ReduceL2 (r, channels) d = Add (e, large) n = Div (r, d)",
    "over positions": "t0 = Transpose <perm = [0, 2, 1]> (r) u = LpNormalization <axis = 1, p = 1> (r) n = Abs (u)",
    "a bias": "u = Add (r, shift) v = LayerNormalization (u, scale, shift) n = Add (v, r)",
    "of one channel for all": "z = ReduceMax (r, positions) n = Div (r, z)",
    "softmax": "n = Softmax (r)",
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_what_changes_with_the_scale_stays(text: str) -> None:
    assert _default(f"{_TOKENS} {_CLASS_TOKEN} {text} {_ATTENTION}") == "r"


def test_one_path_without_normalisation_is_enough() -> None:
    pooled = "n = LayerNormalization (p, scale, shift) {} j = ReduceMean <keepdims = 0> ({}, positions)"
    ending = "y = MatMul (j, head)"
    assert _default(f"{_TOKENS} {pooled.format('', 'n')} {ending}") == "n"
    assert _default(f"{_TOKENS} {pooled.format('b = Add (n, p)', 'b')} {ending}") == "b"


def test_a_token_beside_the_others_is_no_path_of_theirs() -> None:
    """The class token alone goes past the normalisation, also where it is cut off first."""
    first = "i = Slice (r, from, to, axis) u = Relu (i)"
    body = f"{_TOKENS} {_CLASS_TOKEN} {first} n = LayerNormalization (r, scale, shift) {_ATTENTION}"
    body = body.replace("y = MatMul (q, head)", "y0 = MatMul (q, head) v = Softmax (u) v1 = MatMul (v, head) ") + (
        "v2 = Gather <axis = 1> (v1, zero) y = Add (y0, v2)"
    )
    extra = {"from": np.array([0]), "to": np.array([1]), "axis": np.array([1])}
    text = f"g (float[1, 3, 8, 12] x) => (float[1, 5] y) {{ {body} }}"
    graph = canonicalize(load(model(text, _WEIGHTS | extra)).ir).graph
    assert candidates(graph, "y")[-1].name == "n"
    wider = canonicalize(load(model(text, _WEIGHTS | extra | {"to": np.array([3])})).ir).graph
    assert candidates(wider, "y")[-1].name == "r"


# What follows a convolution c, up to the scores; whether its maps sum to 0.
ENDINGS = {
    "a = GlobalAveragePool (c) f = Flatten (a) n = LayerNormalization (f, scale, shift)": True,
    "a = ReduceMean <keepdims = 0> (c, space) n = LpNormalization (a)": True,
    "b = Relu (c) a = GlobalMaxPool (b) f = Flatten (a) n = LpNormalization (f)": True,
    "a = GlobalAveragePool (c) n = Flatten (a)": False,
    "a = GlobalAveragePool (c) f = Flatten (a) b = Add (f, shift) n = LpNormalization (b)": False,
    "b = Sigmoid (c) a = GlobalAveragePool (b) f = Flatten (a) n = LpNormalization (f)": False,
}


@pytest.mark.parametrize(("ending", "zero"), ENDINGS.items())
def test_maps_sum_to_zero_where_the_network_normalises_after_pooling(ending: str, zero: bool) -> None:
    graph = _graph(f"c = Conv (x, w) {ending} y = MatMul (n, head)")
    assert sums_to_zero(graph, "c", "y") == zero
    assert not sums_to_zero(graph, "y", "y")
