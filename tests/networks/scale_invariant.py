"""Classifiers whose score does not change with the scale of a layer's value at any position, and some that are near.

Each has the input ``x`` [n, 3, 8, 8], the layer ``a`` [n, 6, 4, 4] and the scores ``logits`` [n, 5]. Where each
position is normalised over its channels, ``sum_k g_k A_k = 0`` there for any weights (Euler's theorem, degree 0).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from tests.helpers.models import floats, model

_DENSE = "p = GlobalAveragePool({0})  v = Flatten(p)  logits = Gemm <transB = 1> (v, w)"
_POOLED = "p = GlobalAveragePool(a1)  v = Flatten(p)  logits = Gemm <transB = 1> (v, w3)"
_SQUARES = "q = Mul(a, a)  s = ReduceSum(q, channels)"

# Heads that normalise each position over its channels, from ``a`` to ``n``, channels second.
PER_POSITION = {
    "LayerNormalization": """t = Transpose <perm = [0, 2, 3, 1]> (a)
        l = LayerNormalization <epsilon = 1e-5> (t, scale, shift)  n = Transpose <perm = [0, 3, 1, 2]> (l)""",
    "LayerNormalization without shift": """t = Transpose <perm = [0, 2, 3, 1]> (a)
        l = LayerNormalization <axis = 3, epsilon = 1e-6> (t, ones)  n = Transpose <perm = [0, 3, 1, 2]> (l)""",
    "LayerNormalization written out": """m = ReduceMean(a, channels)  d = Sub(a, m)  q = Mul(d, d)
        v0 = ReduceMean(q, channels)  e = Add(v0, tiny)  r = Sqrt(e)  u = Div(d, r)  c = Mul(u, scale4)
        n = Add(c, shift4)""",
    "RMS written out": """q = Mul(a, a)  m = ReduceMean(q, channels)  e = Add(m, tiny)  r = Sqrt(e)  i = Reciprocal(r)
        u = Mul(a, i)  n = Mul(u, scale4)""",
    "RMS by a power": """q = Pow(a, two)  m = ReduceMean(q, channels)  e = Add(m, tiny)  i = Pow(e, minus_half)
        n = Mul(a, i)""",
    "LpNormalization": "n = LpNormalization <axis = 1, p = 2> (a)",
    "LpNormalization of absolute values": "n = LpNormalization <axis = 1, p = 1> (a)",
    "ReduceL2, as torch's normalize": """l = ReduceL2(a, channels)  c = Clip(l, least)  s = Shape(a)  b = Expand(c, s)
        n = Div(a, b)""",
    "ReduceL2": "l = ReduceL2(a, channels)  n = Div(a, l)",
    "root of the sum of squares": f"{_SQUARES}  r = Sqrt(s)  n = Div(a, r)",
    "one over the root": f"{_SQUARES}  r = Sqrt(s)  i = Reciprocal(r)  n = Mul(a, i)",
    "largest absolute value": "b = Abs(a)  m = ReduceMax(b, channels)  n = Div(a, m)",
    "MeanVarianceNormalization": "n = MeanVarianceNormalization <axes = [1]> (a)",
}
# Cosines of each position with unit vectors, averaged: the last layer of recognisers of faces.
COSINES = {
    "cosines": """l = ReduceL2(a, channels)  f = Div(a, l)  c = Conv(f, unit4)  z = GlobalAveragePool(c)
        y = Flatten(z)  logits = Mul(y, thirty)""",
    "cosines of weights normalised in the graph": """l = ReduceL2(a, channels)  f = Div(a, l)
        o = ReduceL2(w4, channels)  u = Div(w4, o)  c = Conv(f, u)  z = GlobalAveragePool(c)
        y = Flatten(z)  logits = Mul(y, thirty)""",
}
HEADS = {name: f"{text} {_DENSE.format('n')}" for name, text in PER_POSITION.items()} | COSINES
# Heads that do not treat each position alone: the map sums to 0 over positions, or to nothing known.
NEAR = {
    "normalised after pooling": """p = GlobalAveragePool(a)  f = Flatten(p)
        l = LayerNormalization <epsilon = 1e-5> (f, scale, shift)  logits = Gemm <transB = 1> (l, w)""",
    "cosines after pooling": """p = GlobalAveragePool(a)  f = Flatten(p)  l = ReduceL2(f, channels)  u = Div(f, l)
        logits = Gemm <transB = 1> (u, w)""",
    "normalised over channels and positions": f"""l = LayerNormalization <axis = 1, epsilon = 1e-5> (a, all)
        r = Relu(l) {_DENSE.format("r")}""",
    "GroupNormalization": f"""n = GroupNormalization <num_groups = 2> (a, pair, no_pair)  r = Relu(n)
        {_DENSE.format("r")}""",
    "with a branch around": f"{PER_POSITION['ReduceL2']}  h = Add(n, a) {_DENSE.format('h')}",
    "no normalisation": f"r = Relu(a) {_DENSE.format('r')}",
}
# Of unit length where longer than that, and as they are where not.
CLIPPED = f"l = ReduceL2(a, channels)  c = Clip(l, one)  n = Div(a, c) {_DENSE.format('n')}"
# A layer whose value is not used, times 0.
DEAD = f"z = Mul(a, scale0)  r = Relu(z) {_DENSE.format('r')}"
# Weights of positions that sum to 0 for each channel.
BALANCED = "v = Flatten(a)  logits = Gemm <transB = 1> (v, balanced)"
# Each channel is normalised over positions: ``sum_xy g_k = 0``, the weights of Grad-CAM, and ``sum_xy g_k A_k = 0``.
PER_CHANNEL = {"InstanceNormalization": f"n = InstanceNormalization(a, scale, shift)  r = Relu(n) {_DENSE.format('r')}"}


_CONSTANTS = {"tiny": 1e-5, "two": 2.0, "minus_half": -0.5, "least": 1e-12, "one": 1.0, "thirty": 30.0, "sq": 0.025}
_FROM_X = """c1 = Conv <pads = [1, 1, 1, 1]> (x, w1)  a1 = Relu(c1)
        {0} = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (a1, w2)"""


def classifier(head: str, between: str = "") -> onnx.ModelProto:
    """Return the network of a head's text, with nodes from ``a0`` to ``a`` before it if they are given."""
    return _network(f"{_FROM_X.format('a0' if between else 'a')} {between} {head}")


def at_input() -> onnx.ModelProto:
    """Return a network that normalises each pixel over its channels first."""
    return _network(f"l = ReduceL2(x, channels)  i = Div(x, l)  c = Conv(i, w1)  a1 = Relu(c) {_POOLED}")


def _network(text: str) -> onnx.ModelProto:
    w = floats(5, 6, seed=3)
    arrays = {
        "w1": floats(4, 3, 3, 3, seed=1) / 5,
        "w2": floats(6, 4, 3, 3, seed=2) / 4,
        "w3": floats(5, 4, seed=7),
        "w": w,
        "w4": w[:, :, None, None],
        "unit": w / np.linalg.norm(w, axis=1, keepdims=True),
        "unit4": (w / np.linalg.norm(w, axis=1, keepdims=True))[:, :, None, None],
        "scale": 1 + floats(6, seed=4) / 3,
        "shift": floats(6, seed=5),
        "scale4": 1 + floats(1, 6, 1, 1, seed=4) / 3,
        "shift4": floats(1, 6, 1, 1, seed=5),
        "scale0": np.zeros((1, 6, 1, 1), np.float32),
        "balanced": floats(5, 6, 16, seed=12),
        "ones": np.ones(6, np.float32),
        "pair": np.ones(2, np.float32),
        "no_pair": np.zeros(2, np.float32),
        "all": np.ones((6, 4, 4), np.float32),
        "channels": np.array([1], np.int64),
        "zq": np.array(128, np.uint8),
        **{name: np.array(value, np.float32) for name, value in _CONSTANTS.items()},
    }
    arrays["balanced"] -= arrays["balanced"].mean(axis=2, keepdims=True)
    arrays["balanced"] = arrays["balanced"].reshape(5, -1)
    used = set(re.findall(r"\w+", text))
    made = f"invariant (float[n, 3, 8, 8] x) => (float[n, 5] logits) {{ {text} }}"
    return model(made, {name: array for name, array in arrays.items() if name in used})


class PreNorm(nn.Module):  # type: ignore[misc]
    """A transformer of two blocks that normalise what they read, and a class token; patches of 2 x 2 values.

    What enters the last block is read by its attention, after a normalisation, and by nothing else at a patch.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        width = 16
        self.patches, self.token = nn.Conv2d(3, width, 2, stride=2), nn.Parameter(torch.randn(1, 1, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(4))
        self.reads = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(2))
        self.dense = nn.ModuleList(nn.Sequential(nn.Linear(width, width), nn.GELU()) for _ in range(2))
        self.last = nn.Linear(width, 5)

    def forward(self, x: Any) -> Any:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], dim=1)
        for block, (read, dense) in enumerate(zip(self.reads, self.dense, strict=True)):
            query, key, value = read(self.norms[2 * block](tokens)).chunk(3, dim=2)
            tokens = tokens + torch.softmax(query @ key.transpose(1, 2) / 2, dim=2) @ value
            tokens = tokens + dense(self.norms[2 * block + 1](tokens))
        return self.last(tokens[:, 0])
