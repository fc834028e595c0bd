"""Principal components of a large layer, against pytorch-grad-cam's full decomposition."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from onnxcam.methods.registry import method
from tools.benchmarks.result import Result, at_least
from tools.benchmarks.timing import interleaved


def run(folder: Path, provider: str) -> Iterator[Result]:
    """Time Eigen-CAM's formula on 64 channels of 112 x 112."""
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

    a = np.maximum(np.random.default_rng(0).standard_normal((1, 64, 112, 112)), 0).astype(np.float32)
    ours = method("eigen-cam")
    times = interleaved({"ours": lambda: ours(a), "peer": lambda: get_2d_projection(a)}, 3, warmup=1)  # type: ignore[operator]
    detail = f"theirs {times['peer'].seconds:.1f} s, ours {times['ours'].seconds * 1000:.0f} ms"
    ratio = times["peer"].ratio
    yield at_least("Eigen-CAM, 64x112x112: pytorch-grad-cam's time over ours", ratio, 50, detail=detail)
