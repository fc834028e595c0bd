"""How long it takes to write the backward pass into ResNet-50, from the file to what onnxruntime loads."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.graph.io.serialize import serialize
from onnxcam.network.read import read_network
from tools.benchmarks.networks import export, network
from tools.benchmarks.result import Result, at_most


def run(folder: Path, provider: str) -> Iterator[Result]:
    """Time reading, canonicalising, differentiating down to the input and writing out."""
    path = export(network("resnet50"), folder / "resnet50.onnx")
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        read = read_network(path)
        serialize(add_gradients(read.model, read.score.name, ["x"], "class"))
        seconds.append(time.perf_counter() - start)
    yield at_most("ResNet-50, graph rewriting, down to the input", statistics.median(seconds), 0.5, "s")
