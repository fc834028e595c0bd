"""torchvision's networks with seeded random weights, as torch modules and as ONNX files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from tests.helpers.torch_shim import torchvision

SEED = 0


def network(name: str) -> Any:
    """Return a torchvision classifier in inference mode, its weights drawn with a fixed seed."""
    torch.manual_seed(SEED)
    options = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    return getattr(torchvision.models, name)(weights=None, **options).eval()


def export(module: Any, path: Path, *, dynamo: bool = True, size: int = 224) -> Path:
    """Write a module as an ONNX file, input ``x``, output ``y``, open batch axis; a file that is there stays."""
    if path.exists():
        return path
    example = torch.zeros(2, 3, size, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters warn of their own future
        if dynamo:
            axes = ({0: torch.export.Dim("n", min=1)},)
            torch.onnx.export(
                module,
                (example,),
                str(path),
                dynamo=True,
                input_names=["x"],
                output_names=["y"],
                dynamic_shapes=axes,
                external_data=False,
                verbose=False,
            )
        else:
            torch.onnx.export(
                module,
                (example,),
                str(path),
                dynamo=False,
                input_names=["x"],
                output_names=["y"],
                dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
                opset_version=17,
            )
    return path
