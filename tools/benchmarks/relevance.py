"""Relevance down to the input: FG-CAM over a plain run of the untouched file, and LRP against zennit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime

import onnxcam
from onnxcam.runtime.providers import preferred
from tools.benchmarks import peers
from tools.benchmarks.networks import export, network
from tools.benchmarks.result import Result, at_least, at_most
from tools.benchmarks.timing import interleaved

# The composite that zennit runs too.
_LRP = onnxcam.method("lrp", composite="epsilon-plus")
_TARGET = 281
_NETWORKS = {"vgg16": "VGG-16", "resnet50": "ResNet-50"}


def run(folder: Path, provider: str) -> Iterator[Result]:
    """Time whole calls for one image: the forward pass, the backward pass and the map."""
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    for name, title in _NETWORKS.items():
        module = network(name)
        path = export(module, folder / f"{name}.onnx")
        plain = onnxruntime.InferenceSession(str(path), providers=preferred([provider]))
        fg_cam, lrp = (onnxcam.Explainer(path, method, providers=[provider]) for method in ("fg-cam", _LRP))
        theirs = peers.lrp(module, x, _TARGET)
        times = interleaved(
            {
                "plain": lambda plain=plain: plain.run(None, {"x": x}),  # type: ignore[misc]
                "fg-cam": lambda explainer=fg_cam: explainer(x, _TARGET),  # type: ignore[misc]
                "lrp": lambda explainer=lrp: explainer(x, _TARGET),  # type: ignore[misc]
                "zennit": theirs,
            },
            rounds=21,
        )
        detail = ", ".join(f"{which} {timing.seconds * 1000:.0f} ms" for which, timing in times.items())
        yield at_most(f"{title}: fg-cam to the input over a plain run", times["fg-cam"].ratio, 4, detail=detail)
        ratio = times["zennit"].ratio / times["lrp"].ratio
        yield at_least(f"{title}: zennit's time for lrp, epsilon-plus, over ours", ratio, 2)
