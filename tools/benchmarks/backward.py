"""Gradients down to the input: over a forward pass, and against torch's eager forward and backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.graph.passes.expose import expose
from onnxcam.network.open_session import open_session
from onnxcam.network.read import read_network
from onnxcam.runtime.providers import preferred
from tools.benchmarks.networks import export, network
from tools.benchmarks.result import Result, at_least, at_most
from tools.benchmarks.timing import interleaved

_BATCH = 4
# Name, how it is exported, and the most that the gradient may take over a forward pass.
_NETWORKS = (("resnet50", True, 2.6), ("mobilenet_v3_large", True, 4.0), ("vit_b_16", False, 2.6))


def run(folder: Path, provider: str) -> Iterator[Result]:
    """Time the gradient of the predicted class, batch 4."""
    x = np.random.default_rng(0).standard_normal((_BATCH, 3, 224, 224)).astype(np.float32)
    for name, dynamo, bound in _NETWORKS:
        module = network(name)
        path = export(module, folder / f"{name}.onnx", dynamo=dynamo)
        plain = onnxruntime.InferenceSession(str(path), providers=preferred([provider]))
        read = read_network(path)
        model = expose(add_gradients(read.model, read.score.name, ["x"], "class"), [read.score.name, "grad/x"])
        backward = open_session(model, [provider])
        feeds = {"x": x, "class_index": np.full(_BATCH, -1)}
        times = interleaved(
            {
                "plain": lambda plain=plain: plain.run(None, {"x": x}),  # type: ignore[misc]
                "onnxcam": lambda backward=backward, feeds=feeds: backward.run(feeds),  # type: ignore[misc]
                "torch": _torch(module, x),
            },
            rounds=9,
        )
        detail = ", ".join(f"{which} {timing.seconds * 1000:.0f} ms" for which, timing in times.items())
        ours, theirs = times["onnxcam"].ratio, times["torch"].ratio
        yield at_most(f"{name}, gradient at the input, batch {_BATCH}, over a plain run", ours, bound, detail=detail)
        yield at_least(f"{name}, torch eager forward and backward over ours", theirs / ours, 1)


def _torch(module: Any, x: npt.NDArray[np.float32]) -> Callable[[], object]:
    # Gradients of the weights are not asked for: only the input's is compared.
    module.requires_grad_(False)

    def step() -> torch.Tensor:
        tensor = torch.from_numpy(x).requires_grad_()
        module(tensor).max(dim=1).values.sum().backward()
        gradient: torch.Tensor = tensor.grad
        return gradient

    return step
