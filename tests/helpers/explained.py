"""What tests of the explainer share: labels, a network that ends in pooling, methods on the one layer it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

import onnxcam
from onnxcam.methods.registry import methods
from tests.helpers.models import floats, model

# Methods of attention have none to read in these; tests/attribution/test_batch_view.py runs them.
CONVOLUTIONAL = [name for name, cls in methods().items() if cls().needs.reads != "attentions"]
LABELS = ["ant", "bee", "cat, tabby", "dog", "eel"]


def on_one_layer(name: str) -> onnxcam.Method:
    """Return a method that needs no more than the one layer that these networks have."""
    return onnxcam.method(name, **({"layers": (-1,)} if name == "refine-cam" else {}))


def pooled(batch: str = "n", body: str = "c = Conv <pads = [1, 1, 1, 1]> (x, w, cb)") -> onnx.ModelProto:
    weights: dict[str, npt.NDArray[Any]] = {"w": floats(4, 3, 3, 3) / 3, "v": floats(5, 4), "b": floats(5)}
    weights |= {"cb": floats(4, seed=5), "scale": floats(4, seed=6), "mean": floats(4, seed=7)}
    weights |= {"var": np.abs(floats(4, seed=8)) + 0.5, "none": np.zeros(4, np.float32)}
    return model(
        f"""pooled (float[{batch}, 3, 8, 8] x) => (float[{batch}, 5] y) {{
            {body}
            a = Relu(c)
            p = GlobalAveragePool(a)
            f = Flatten(p)
            y = Gemm <transB = 1> (f, v, b)
        }}""",
        weights,
    )
