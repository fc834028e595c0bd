"""Maps at the last layer of ResNet-50: over a plain run of the untouched file, and against pytorch-grad-cam."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

import onnxcam
from onnxcam.runtime.providers import preferred
from tools.benchmarks.networks import export, network
from tools.benchmarks.result import Result, at_least, at_most
from tools.benchmarks.timing import interleaved


def run(folder: Path, provider: str) -> Iterator[Result]:
    """Time HiResCAM for the predicted class, batch 1 and 8."""
    module = network("resnet50")
    path = export(module, folder / "resnet50.onnx")
    plain = onnxruntime.InferenceSession(str(path), providers=preferred([provider]))
    explainer = onnxcam.Explainer(path, "hires-cam", providers=[provider])
    for batch, rounds in ((1, 25), (8, 9)):
        x = np.random.default_rng(batch).standard_normal((batch, 3, 224, 224)).astype(np.float32)
        times = interleaved(
            {
                "plain": lambda x=x: plain.run(None, {"x": x}),  # type: ignore[misc]
                "onnxcam": lambda x=x: explainer(x),  # type: ignore[misc]
                "pytorch-grad-cam": _peer(module, x),
            },
            rounds,
        )
        detail = ", ".join(f"{name} {timing.seconds * 1000:.0f} ms" for name, timing in times.items())
        name = f"ResNet-50, last layer, batch {batch}: hires-cam"
        ours, theirs = times["onnxcam"].ratio, times["pytorch-grad-cam"].ratio
        yield at_most(f"{name} over a plain run", ours, 1.05, detail=detail)
        yield at_least(f"{name}, pytorch-grad-cam's time over ours", theirs / ours, 5)


def _peer(module: Any, x: npt.NDArray[np.float32]) -> Callable[[], object]:
    """Return the same map by pytorch-grad-cam on the same weights."""
    from pytorch_grad_cam import HiResCAM

    tensor = torch.from_numpy(x)
    cam = HiResCAM(model=module, target_layers=[module.layer4[-1]])
    return lambda: cam(input_tensor=tensor, targets=None)
