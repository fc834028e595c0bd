"""What identifies a model file and the software that explained it, so that an explanation can be repeated."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import numpy as np

from onnxcam.graph.analysis.layers import Layer
from onnxcam.network.network import Network
from onnxcam.runtime.session import Session


def provenance(network: Network, layer: Layer) -> dict[str, Any]:
    """Return the file's hash and origin, the layer, and the versions of the software, as JSON values."""
    file = network.file
    return {
        "model": file.name,
        "sha256": file.sha256,
        "exporter": file.exporter,
        "opset": file.opset,
        "layer": {"name": layer.name, "node": layer.node, "axes": layer.axes},
        "score_passed": network.score.passed,
        "versions": {
            "onnxcam": version("onnxcam"),
            "onnxruntime": Session.version(),
            "onnx": version("onnx"),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
