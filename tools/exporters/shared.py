"""What every framework's script needs: the shapes classifier's weights, its images, and one way to store results.

It imports NumPy, onnx and Pillow only, so that it runs in each framework's own virtual environment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from PIL import Image

Array: TypeAlias = npt.NDArray[Any]

ROOT: Final = Path(__file__).resolve().parents[2]
SHAPES: Final = ROOT / "models" / "shapes" / "shapes.onnx"
FOLDER: Final = ROOT / "models" / "exporters"

SAMPLES: Final = ("3_star", "10_cross")
"""Drawings whose gradients are stored."""
CLASSES: Final = (3, 1)
"""The class of each sample whose logit is differentiated: its own, and another one."""
POOLED: Final = (0, 2)
"""Convolutions, counted from 0, that a maximum pool of 2x2 follows."""
POSITIONS: Final = 12
"""Height and width of the last feature map."""


@dataclass(frozen=True)
class Convolution:
    """Weights of one convolution; a ReLU follows.

    Attributes:
        kernel: float32 [outputs, inputs, height, width].
        bias: float32 [outputs].
        stride: of both axes; it pads half its kernel on all sides.
        pool: whether a maximum pool of 2x2 follows.
    """

    kernel: Array
    bias: Array
    stride: int
    pool: bool

    @property
    def pad(self) -> int:
        """Zeros on each side."""
        return int(self.kernel.shape[2]) // 2

    @property
    def kernel_last(self) -> Array:
        """The kernel as channels-last frameworks keep it, [height, width, inputs, outputs]."""
        return self.kernel.transpose(2, 3, 1, 0)


@dataclass(frozen=True)
class Shapes:
    """The trained shapes classifier, its normalisations folded into the convolutions.

    Attributes:
        convolutions: in order.
        kernel: of the linear layer on the flattened map, float32 [classes, channels * positions * positions].
        bias: float32 [classes].
    """

    convolutions: tuple[Convolution, ...]
    kernel: Array
    bias: Array

    @property
    def kernel_last(self) -> Array:
        """The linear layer's kernel for a map flattened as [row, column, channel], [features, classes]."""
        maps = self.kernel.reshape(len(self.bias), -1, POSITIONS, POSITIONS)
        return maps.transpose(2, 3, 1, 0).reshape(-1, len(self.bias))


def shapes() -> Shapes:
    """Read the weights out of the trained model's file."""
    graph = onnx.load(SHAPES).graph
    weights = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == "Conv"]
    convolutions = []
    for index, node in enumerate(nodes):
        strides = next(list(a.ints) for a in node.attribute if a.name == "strides")
        convolutions.append(Convolution(weights[node.input[1]], weights[node.input[2]], strides[0], index in POOLED))
    linear = next(node for node in graph.node if node.op_type == "Gemm")
    return Shapes(tuple(convolutions), weights[linear.input[1]], weights[linear.input[2]])


def shapes_input() -> Array:
    """Return the stored drawings as the classifier takes them, float32 [2, 3, 96, 96]."""
    recipe = json.loads(_metadata(onnx.load(SHAPES))["onnxcam.preprocess"])
    pixels = np.stack([np.array(Image.open(SHAPES.parent / "samples" / f"{name}.png")) for name in SAMPLES])
    x = (pixels * recipe["scale"] - np.array(recipe["mean"])) / np.array(recipe["std"])
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32)


def random_input(*shape: int) -> Array:
    """Return seeded normal numbers."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def one_hot(logits: Any) -> Array:
    """Return the cotangent of the logits that are differentiated, of their shape."""
    shape = tuple(int(n) for n in logits.shape)
    cotangent = np.zeros(shape)
    cotangent[np.arange(shape[0]), CLASSES] = 1
    return cotangent


def store(name: str, model: onnx.ModelProto, made_by: str) -> None:
    """Write an exported file without its notes on this machine; shapes files say how they are fed.

    Args:
        name: ``<framework>_<network>``.
        model: as exported; it is changed.
        made_by: packages and their versions.
    """
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    notes = {"made_by": made_by}
    if name.endswith("_shapes"):
        notes |= {key: text for key, text in _metadata(onnx.load(SHAPES)).items() if key.startswith("onnxcam.")}
    onnx.helper.set_model_props(model, notes)
    onnx.checker.check_model(model, full_check=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.onnx"
    onnx.save(model, path)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes, {made_by}")


def store_gradient(name: str, logits: Any, gradient: Any, x: Array | None = None) -> None:
    """Write what the framework itself computes.

    Args:
        name: ``<framework>_<network>``.
        logits: [2, classes].
        gradient: of the logits of ``CLASSES`` with respect to the input, of its shape and layout.
        x: the input where it is not ``shapes_input()``.
    """
    # Rounding to float32 after computing in float64 costs 6e-8 of the 1e-5 that is asked for.
    arrays: dict[str, Any] = {"logits": np.asarray(logits, np.float32), "gradient": np.asarray(gradient, np.float32)}
    arrays["class_index"] = np.array(CLASSES)
    path = FOLDER / f"{name}.npz"
    if x is not None:
        arrays["x"] = x
    np.savez_compressed(path, **arrays)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


def _metadata(model: onnx.ModelProto) -> dict[str, str]:
    return {prop.key: prop.value for prop in model.metadata_props}
