"""The files that examples of README and manual name: small networks with seeded weights, drawn photographs, labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from PIL import Image

from tests.helpers.models import floats, model

LABELS = ("tabby", "tiger cat", "beagle", "cat", "dog", "horse", "car", "boat", "bird", "tree")
PREPROCESSING = {"channels": "RGB", "scale": 1 / 255, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def fill(folder: Path) -> None:
    """Write all of them."""
    networks = {
        "model": classifier(),
        "old": classifier(),
        "vit": transformer(),
        "segmentation": segmentation(),
        "detector": detector(),
        "two_inputs": two_inputs(),
        "int8": quantized(),
    }
    for name, proto in networks.items():
        (folder / f"{name}.onnx").write_bytes(proto.SerializeToString())
    (folder / "photos").mkdir()
    for number, path in enumerate(("photo.jpg", "photos/cat.jpg", "photos/dog.jpg", "drawing.png")):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((320, 240)).save(folder / path)
    mask = np.zeros((240, 320), np.uint8)
    mask[60:180, 80:240] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    for name in ("labels.txt", "names.txt"):
        (folder / name).write_text("\n".join(LABELS) + "\n")
    (folder / "preprocess.json").write_text(json.dumps(PREPROCESSING))
    np.save(folder / "age.npy", np.array([[0.4]], np.float32))


def _stages(inputs: str, size: int = 224, more: str = "") -> str:
    """Return the text of four convolutions, down to ``r4`` at a thirty-second of the input's size."""
    lines = [f"network (float[n, 3, {size}, {size}] {inputs}) => (float[n, 10] probabilities) {{"]
    lines.append("c1 = Conv <pads = [0, 0, 0, 0], strides = [4, 4]> (x, w1)  r1 = Relu(c1)")
    for stage in (2, 3, 4):
        lines.append(f"c{stage} = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (r{stage - 1}, w{stage})")
        lines.append(f"r{stage} = Relu(c{stage})")
    return "\n".join([*lines, more])


def _weights() -> dict[str, npt.NDArray[Any]]:
    return {
        "w1": floats(6, 3, 4, 4, seed=1) / 5,
        "w2": floats(8, 6, 3, 3, seed=2) / 5,
        "w3": floats(10, 8, 3, 3, seed=3) / 5,
        "w4": floats(12, 10, 3, 3, seed=4) / 5,
        "w5": floats(12, 10, seed=5),
        "b5": floats(10, seed=6),
    }


_HEAD = """pooled = GlobalAveragePool(r4)  flat = Flatten(pooled)
    logits = Gemm(flat, w5, b5)  probabilities = Softmax(logits) }"""


def classifier() -> onnx.ModelProto:
    """Return a classifier of 224 x 224 pixels: layers of 56, 28, 14 and 7, pooling, one linear layer, Softmax."""
    return model(_stages("x", more=_HEAD), _weights())


def two_inputs() -> onnx.ModelProto:
    """Return a classifier that reads a number beside the image."""
    text = _stages("x, float[n, 1] age", more=_HEAD.replace("flat = Flatten(pooled)", _AGED))
    return model(text, {**_weights(), "wa": floats(1, 12, seed=7)})


_AGED = "seen = Flatten(pooled)  aged = MatMul(age, wa)  flat = Add(seen, aged)"


def quantized() -> onnx.ModelProto:
    """Return the classifier with its last convolution's input and output in int8 (QDQ)."""
    text = _stages("x").replace("(r3, w4)", "(d3, w4)").replace("c4 = Conv", "_QDQ_ c4 = Conv")
    qdq = "q3 = QuantizeLinear(r3, scale, zero)  d3 = DequantizeLinear(q3, scale, zero)"
    return model(
        text.replace("_QDQ_", qdq) + _HEAD,
        {**_weights(), "scale": np.array(0.05, np.float32), "zero": np.array(-100, np.int8)},
    )


def transformer() -> onnx.ModelProto:
    """Return a transformer of 32 x 32 pixels: 16 patches and a class token, two blocks of attention."""

    def block(name: str, source: str, result: str) -> str:
        return f"""{name}q = MatMul({source}, q)  {name}k = MatMul({source}, k)  {name}v = MatMul({source}, v)
            {name}t = Transpose <perm = [0, 2, 1]> ({name}k)  {name}s = MatMul({name}q, {name}t)
            {name}p = Softmax({name}s)  {name}m = MatMul({name}p, {name}v)  {result} = Add({source}, {name}m)"""

    weights: dict[str, npt.NDArray[Any]] = {name: floats(6, 6, seed=s) / 3 for s, name in enumerate("qkv", start=2)}
    weights |= {"w": floats(6, 3, 8, 8, seed=1) / 9, "cls": floats(1, 1, 6, seed=6), "head": floats(6, 10, seed=5)}
    weights |= {"flat": np.array([0, 6, 16]), "first": np.array(0)}
    return model(
        f"""vit (float[1, 3, 32, 32] x) => (float[1, 10] y) {{
            c = Conv <strides = [8, 8]> (x, w)  r = Reshape(c, flat)  patches = Transpose <perm = [0, 2, 1]> (r)
            tokens = Concat <axis = 1> (cls, patches)
            {block("a", "tokens", "one")}
            {block("b", "one", "two")}
            token = Gather <axis = 1> (two, first)
            y = MatMul(token, head) }}""",
        weights,
    )


def segmentation() -> onnx.ModelProto:
    """Return a network that gives ten classes a score at each of 16 x 16 positions."""
    text = """network (float[n, 3, 64, 64] x) => (float[n, 10, 16, 16] y) {
        c = Conv <strides = [4, 4]> (x, w1)  r = Relu(c)
        d = Conv <pads = [1, 1, 1, 1]> (r, w2)  s = Relu(d)
        y = Conv(s, w3) }"""
    weights = {"w1": floats(6, 3, 4, 4, seed=1), "w2": floats(8, 6, 3, 3, seed=2), "w3": floats(10, 8, 1, 1, seed=3)}
    return model(text, weights)


def detector() -> onnx.ModelProto:
    """Return a detector: 64 boxes of four coordinates, an objectness and three classes."""
    text = """network (float[n, 3, 64, 64] x) => (float[n, 64, 8] y) {
        c = Conv <strides = [8, 8]> (x, w1)  r = Relu(c)
        h = Conv(r, w2)  m = Reshape(h, joined)  b = Transpose <perm = [0, 2, 1]> (m)
        place, scores = Split <axis = 2> (b, parts)  chances = Sigmoid(scores)
        y = Concat <axis = 2> (place, chances) }"""
    weights: dict[str, npt.NDArray[Any]] = {"w1": floats(6, 3, 8, 8, seed=1) / 9, "w2": floats(8, 6, 1, 1, seed=2)}
    return model(text, weights | {"joined": np.array([0, 8, -1]), "parts": np.array([4, 4])})
