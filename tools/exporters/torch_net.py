"""The shapes classifier through torch's older exporter, and in int8 by onnxruntime.

    python -m tools.exporters.torch_net

runs in the environment of the tests. The newer exporter's file is ``models/shapes/shapes.onnx``, as it was trained.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn

from tools.exporters import shared
from tools.shapes.data import preprocess
from tools.shapes.draw import draw

CALIBRATION: Final = range(6_000_000, 6_000_060)
"""Seeds of the drawings that ranges are measured on: ten of each class, used for nothing else."""


def shapes() -> nn.Sequential:
    """Return the classifier."""
    weights = shared.shapes()
    parts: list[nn.Module] = []
    for one in weights.convolutions:
        outputs, inputs, kernel, _ = one.kernel.shape
        parts += [nn.Conv2d(inputs, outputs, kernel, one.stride, one.pad), nn.ReLU()]
        parts += [nn.MaxPool2d(2)] if one.pool else []
    model = nn.Sequential(*parts, nn.Flatten(), nn.Linear(*weights.kernel.T.shape)).eval()
    arrays = [array for one in weights.convolutions for array in (one.kernel, one.bias)]
    for parameter, array in zip(model.parameters(), [*arrays, weights.kernel, weights.bias], strict=True):
        parameter.data = torch.tensor(array)
    return model


def export(model: nn.Module) -> None:
    """Write the model by the exporter that runs it once, with a dynamic batch."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about its own age
        torch.onnx.export(
            model,
            (torch.zeros(2, 3, 96, 96),),
            buffer,
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        )
    shared.store("torch_script_shapes", onnx.load_from_string(buffer.getvalue()), f"torch {version('torch')}")


class Drawings(CalibrationDataReader):  # type: ignore[misc,unused-ignore]
    """Drawings to measure ranges on, one at a time."""

    def __init__(self) -> None:
        self._left: Iterator[int] = iter(CALIBRATION)

    def get_next(self) -> dict[str, shared.Array] | None:
        """Return the next feed."""
        seed = next(self._left, None)
        return None if seed is None else {"image": preprocess(draw(seed).image[None])}


def quantize() -> None:
    """Write the trained file with integer weights and activations, as QuantizeLinear and DequantizeLinear."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_static(
            shared.SHAPES,
            path,
            Drawings(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        proto = onnx.load(path)
    names = ("onnxruntime", "onnxruntime-gpu")
    made_by = next(f"onnxruntime {found}" for found in map(_version, names) if found)
    shared.store("int8_shapes", proto, f"{made_by} from shapes.onnx")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ModuleNotFoundError:
        return None


def main() -> None:
    """Write both files and torch's gradient, in float64."""
    model = shapes()
    export(model)
    quantize()
    x = torch.tensor(shared.shapes_input(), dtype=torch.float64, requires_grad=True)
    y = model.double()(x)
    (y * torch.from_numpy(shared.one_hot(y))).sum().backward()
    assert x.grad is not None
    shared.store_gradient("torch_shapes", np.asarray(y.detach()), np.asarray(x.grad))


if __name__ == "__main__":
    main()
