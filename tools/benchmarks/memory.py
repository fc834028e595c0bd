"""Peak memory of an explainer over that of a plain session, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tools.benchmarks.networks import export, network
from tools.benchmarks.peak import run_alone
from tools.benchmarks.result import Result

_PLAIN = """
import sys, numpy, onnxruntime
x = numpy.zeros((int(sys.argv[2]), 3, 224, 224), numpy.float32)
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
session.run(None, {"x": x})
"""
_OURS = """
import sys, numpy, onnxcam
x = numpy.zeros((int(sys.argv[2]), 3, 224, 224), numpy.float32)
onnxcam.Explainer(sys.argv[1], sys.argv[3], providers=["cpu"])(x)
"""


def run(folder: Path, provider: str) -> Iterator[Result]:
    """Compare at the last layer and at the input."""
    path = export(network("resnet50"), folder / "resnet50.onnx")
    for batch in (1, 8):
        plain = run_alone(_PLAIN, path, batch)[1]
        for method in ("hires-cam", "gradient"):
            ours = run_alone(_OURS, path, batch, method)[1]
            yield Result(
                f"ResNet-50, batch {batch}: peak memory of {method} over a plain run",
                ours / plain,
                detail=f"{ours:.0f} MB over {plain:.0f} MB",
            )
