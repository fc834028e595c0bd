"""What asking for the range before or after rounding changes: ``python -m tools.quantized_range``.

Float networks are quantised by onnxruntime (QDQ, uint8, one scale a channel of the weights), which drops each ReLU and
lets the end of the range do its part, so that the question matters most. For photographs that the calibration has not
seen: cosine of both input gradients with each other and with the float network's, and rank correlation of HiResCAM's
maps at the default layer, and at the layer in the middle, made with both.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import click
import numpy as np
import numpy.typing as npt
from onnxruntime import quantization

import onnxcam
from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.quantized_range import QuantizedRange, gradient_rules
from onnxcam.graph.analysis.axes import channels_first
from onnxcam.graph.analysis.layers import candidates
from onnxcam.graph.passes.expose import expose
from onnxcam.images import Preprocess
from onnxcam.network.open_session import open_session
from tools.disturbed import gradients
from tools.twins import SHARED, correlation, cosine, photographs, ranks

Array: TypeAlias = npt.NDArray[Any]
NETWORKS = ("resnet8_cifar10_keras_fp32", "person_keras_fp32", "mobilenet_v2_torch_dynamo_fp32")
_RANGES: tuple[QuantizedRange, ...] = ("unrounded", "rounded")
_CALIBRATION = 20


class Images(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Images one by one, as the quantiser asks for them."""

    def __init__(self, name: str, images: Iterator[Array]) -> None:
        self._feeds = ({name: image} for image in images)

    def get_next(self) -> Mapping[str, Array] | None:
        """Return the next image, None after the last."""
        return next(self._feeds, None)


def quantized(source: Path, explainer: onnxcam.Explainer, paths: list[Path], folder: Path) -> Path:
    """Write the network in 8 bits and return the file."""
    prepared, file = folder / f"{source.stem}_prepared.onnx", folder / f"{source.stem}_uint8.onnx"
    quantization.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    images = Images(explainer.image.name, (explainer.read(path).array for path in paths))
    kinds = {"activation_type": quantization.QuantType.QUInt8, "weight_type": quantization.QuantType.QInt8}
    form = quantization.QuantFormat.QDQ
    quantization.quantize_static(str(prepared), str(file), images, quant_format=form, per_channel=True, **kinds)
    return file


def _gradient(explainer: onnxcam.Explainer, images: Array, classes: Array, how: QuantizedRange) -> tuple[Array, Array]:
    """Return the layer's activations and gradients, channels first."""
    network, layer = explainer.network, explainer.layer
    table = gradient_rules(how)
    model = add_gradients(network.model, network.score.name, [layer.name], "class", table=table)
    names = [layer.name, gradient_name(layer.name)]
    session = open_session(expose(model, names), ["cpu"], folder=network.folder)
    feeds = {explainer.image.name: images, "class_index": classes}
    found = session.run_batched(feeds, size=network.batch or 4, fixed=network.batch is not None)
    a, g = (found[name].transpose(channels_first(layer.axes)) for name in names)
    return a, g


def _each(measure: Any, first: Array, second: Array) -> float:
    return float(np.mean([measure(a.ravel(), b.ravel()) for a, b in zip(first, second, strict=True)]))


def _alike(a: Array, b: Array) -> float:
    return correlation(ranks(a), ranks(b))


def compare(twin: str, shared: Path, count: int, folder: Path) -> list[float]:
    """Return the figures of one network, in the order of the table."""
    convention = json.loads((shared / "models" / "models.json").read_text())[twin]
    source, preprocess = shared / "models" / f"{twin}.onnx", Preprocess.from_json(json.dumps(convention))

    def explainer(file: Path, method: str, layer: str | None = None) -> onnxcam.Explainer:
        return onnxcam.Explainer(file, method, layer, preprocess=preprocess, providers=["cpu"])

    paths = photographs(convention["task"], shared)
    made = explainer(source, "gradient")
    file = quantized(source, made, paths[::2][:_CALIBRATION], folder)
    photos = [made.read(path) for path in paths[1::2][:count]]
    images = np.concatenate([photo.array for photo in photos])
    classes = np.asarray(made.explain(photos).targets, np.int64)
    float_gradient = gradients(made)(images, classes)
    own = explainer(file, "gradient")
    both = [gradients(own, table=gradient_rules(how))(images, classes) for how in _RANGES]
    figures = [_each(cosine, *both), *(_each(cosine, g, float_gradient) for g in both)]
    last = explainer(file, "hires-cam")
    offered = candidates(last.network.model.graph, last.network.score.name)
    for layer in (None, offered[len(offered) // 2].name):
        at = explainer(file, "hires-cam", layer)
        maps = [np.sum(np.multiply(*_gradient(at, images, classes, how)), axis=1) for how in _RANGES]
        figures.append(_each(_alike, *maps))
    return figures


@click.command(help=__doc__)
@click.option("--shared", type=click.Path(path_type=Path, exists=True), default=SHARED, help="models and images")
@click.option("--count", type=int, default=12, show_default=True, help="photographs a network")
def main(shared: Path, count: int) -> None:
    """Print one row a network."""
    click.echo("| float network | input, both | unrounded, float | rounded, float | default layer | middle layer |")
    click.echo("|---" * 6 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for twin in NETWORKS:
            row = " | ".join(f"{figure:.3f}" for figure in compare(twin, shared, count, Path(folder)))
            click.echo(f"| {twin} | {row} |")


if __name__ == "__main__":
    main()
