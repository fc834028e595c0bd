"""From the trained network to one checked ONNX file that says how to feed it."""

import json
from pathlib import Path

import click
import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from .data import MEAN, SCALE, STD, Data
from .outlines import CLASSES

OPSET = 18


def export(model: nn.Module, path: Path) -> None:
    """Write the model with its preprocessing and class names in the file's metadata.

    Args:
        model: In evaluation mode.
        path: The file to write; weights are inside.
    """
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 3, 96, 96),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    proto: onnx.ModelProto = program.model_proto
    _forget_this_machine(proto)
    preprocess = {"channels": "RGB", "scale": SCALE, "mean": list(MEAN), "std": list(STD), "resize": "stretch"}
    onnx.helper.set_model_props(
        proto, {"onnxcam.preprocess": json.dumps(preprocess), "onnxcam.labels": json.dumps(list(CLASSES))}
    )
    onnx.checker.check_model(proto, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, path)


def _forget_this_machine(proto: onnx.ModelProto) -> None:
    """Drop the exporter's notes on nodes and values: stack traces with the paths of the machine that trained."""
    graph = proto.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def check(model: nn.Module, path: Path, data: Data) -> None:
    """Print the largest difference between onnxruntime's logits and torch's, for batches of 1 and many.

    Raises:
        click.ClickException: They differ by more than rounding explains.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    largest = 0.0
    for count in (1, 64):
        images = data.images[:count]
        with torch.inference_mode():
            expected = model(images).numpy()
        found = session.run(["logits"], {"image": images.numpy()})[0]
        largest = max(largest, float(np.abs(found - expected).max()))
    click.echo(f"{path}: {path.stat().st_size} bytes, largest difference from torch {largest:.1e}")
    if largest > 1e-3:
        raise click.ClickException("the exported model does not compute what torch computes")
