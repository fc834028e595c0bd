"""Peak memory of an explainer over that of a plain session, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.benchmarks.networks import export, network
from tools.benchmarks.result import Result

_PLAIN = """
import sys, resource, numpy, onnxruntime
x = numpy.zeros((int(sys.argv[2]), 3, 224, 224), numpy.float32)
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
session.run(None, {"x": x})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
_OURS = """
import sys, resource, numpy, onnxcam
x = numpy.zeros((int(sys.argv[2]), 3, 224, 224), numpy.float32)
onnxcam.Explainer(sys.argv[1], sys.argv[3], providers=["cpu"])(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run(folder: Path, provider: str) -> Iterator[Result]:
    """Compare at the last layer and at the input."""
    path = export(network("resnet50"), folder / "resnet50.onnx")
    for batch in (1, 8):
        plain = _peak(_PLAIN, path, batch)
        for method in ("hires-cam", "gradient"):
            ours = _peak(_OURS, path, batch, method)
            yield Result(
                f"ResNet-50, batch {batch}: peak memory of {method} over a plain run",
                ours / plain,
                detail=f"{ours:.0f} MB over {plain:.0f} MB",
            )


def _peak(code: str, path: Path, batch: int, *arguments: str) -> float:
    """Return the peak resident memory of a process, in MB."""
    command = [sys.executable, "-c", code, str(path), str(batch), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024
