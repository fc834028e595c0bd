"""Networks of torch as files of both of its exporters, and how near torch itself comes to its gradients."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

# Float32 engines round in different orders, which moves a ReLU or a maximum across its kink now and then.
NOISES = 3
FLOOR = 1e-5


def write(
    module: Any, size: Sequence[int], exporter: str, path: Path, outputs: Sequence[str] = ("y",), opset: int = 0
) -> Path:
    """Write a network of the input ``x`` ``[batch, *size]`` with a dynamic batch; a file that is there stays.

    Args:
        module: in inference mode.
        size: of one sample.
        exporter: ``dynamo``, or ``script`` for the one before it.
        path: the file.
        outputs: their names.
        opset: 17, or 18 of the dynamo exporter, unless another one is given.
    """
    if path.exists():
        return path
    x = torch.zeros(2, *size)
    names: dict[str, Any] = {"input_names": ["x"], "output_names": list(outputs)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporters warn about themselves
        if exporter == "dynamo":
            shapes: dict[str, Any] = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), "opset_version": opset or 18}
            shapes |= {"verbose": False, "external_data": False}
            torch.onnx.export(module, (x,), path, dynamo=True, **names, **shapes)
        else:
            buffer = io.BytesIO()
            axes = {"dynamic_axes": {name: {0: "batch"} for name in ("x", *outputs)}, "opset_version": opset or 17}
            torch.onnx.export(module, (x,), buffer, dynamo=False, **names, **axes)
            path.write_bytes(buffer.getvalue())
    return path


def neighbours(x: torch.Tensor) -> list[torch.Tensor]:
    """Return inputs that float32 arithmetic cannot tell apart: which of them crosses a kink is arbitrary."""
    signs = [torch.sign(torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))) for seed in range(4)]
    return [x, *(x * (1 + 2e-7 * sign) for sign in signs)]
