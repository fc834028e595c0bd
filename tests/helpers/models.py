"""Small models, written as ONNX text, with seeded weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper, parser


def model(
    text: str, weights: dict[str, npt.NDArray[Any]] | None = None, opset: int = 18, ir_version: int = 9
) -> onnx.ModelProto:
    """Return the model whose graph is written in ``text``; ``weights`` become initializers."""
    proto: onnx.ModelProto = parser.parse_model(f'<ir_version: {ir_version}, opset_import: ["" : {opset}]>\n{text}')
    for name, array in (weights or {}).items():
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    return proto


def rng(seed: int = 0) -> np.random.Generator:
    """Return a seeded source of numbers."""
    return np.random.default_rng(seed)


def floats(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return normally distributed float32 numbers."""
    return rng(seed).standard_normal(shape).astype(np.float32)


def classifier(
    *, batch: str = "n", ending: str = "y = Identity(logits)", classes: int = 5, opset: int = 18
) -> onnx.ModelProto:
    """Return a small convolutional classifier: Conv, Relu, Conv, Relu, flatten, Gemm, and an ending of its own.

    Input ``x`` [batch, 3, 8, 8]; layers ``a1`` [batch, 4, 8, 8] and ``a2`` [batch, 6, 4, 4]; scores ``logits``.
    """
    weights: dict[str, npt.NDArray[Any]] = {
        "w1": floats(4, 3, 3, 3, seed=1) / 3,
        "w2": floats(6, 4, 3, 3, seed=2) / 4,
        "w3": floats(classes, 96, seed=3) / 5,
        "b3": floats(classes, seed=4),
    }
    return model(
        f"""classifier (float[{batch}, 3, 8, 8] x) => (float[{batch}, {classes}] y) {{
            c1 = Conv <pads = [1, 1, 1, 1]> (x, w1)
            a1 = Relu(c1)
            c2 = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (a1, w2)
            a2 = Relu(c2)
            flat = Flatten(a2)
            logits = Gemm <transB = 1> (flat, w3, b3)
            {ending}
        }}""",
        weights,
        opset,
    )
