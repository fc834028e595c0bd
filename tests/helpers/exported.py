"""Torch networks of the tests as files of torch's exporter, and our maps of them through the whole of onnxcam."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import onnxcam
from onnxcam.graph.analysis.layers import candidates
from onnxcam.methods.base import Method
from tests.networks.torch_files import write


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="onnxcam-exported-")


def exported(name: str, module: Any, size: Sequence[int]) -> Path:
    """Return the file of a network in float32 of one input ``[N, *size]``; a name stands for one network."""
    path = Path(_folder().name) / f"{name}.onnx"
    return write(copy.deepcopy(module).float().eval(), size, "script", path)


def explained(
    path: Path, method: Method, x: npt.ArrayLike, targets: Sequence[int], shape: Sequence[int] | None = None
) -> npt.NDArray[Any]:
    """Return the raw maps of a file.

    Args:
        path: the file.
        method: how to explain it.
        x: the images.
        targets: a class for each.
        shape: ``[K, *spatial]`` of the layer to explain, the last that has it; the default layer if None.
    """
    layer = None
    if shape is not None:
        first = onnxcam.Explainer(path)
        offered = candidates(first.network.model.graph, first.network.score.name)
        layer = next(one.name for one in offered[::-1] if tuple(one.shape[1:]) == tuple(shape))
    images = np.asarray(x, np.float32)
    with torch.no_grad():
        return np.asarray(onnxcam.Explainer(path, method, layer)(images, list(targets)).raw)
