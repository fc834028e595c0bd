"""Rewriting a large file: a ViT of 330 MB whose weights lie in a file of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx

from tools.benchmarks.networks import export, network
from tools.benchmarks.peak import run_alone
from tools.benchmarks.result import Result, at_most

_REWRITE = """
import sys, time
from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.graph.io.serialize import to_bytes
from onnxcam.network.read import read_network
start = time.perf_counter()
read = read_network(sys.argv[1])
to_bytes(add_gradients(read.model, read.score.name, ["x"], "class"))
print(time.perf_counter() - start)
"""


def run(folder: Path, provider: str) -> Iterator[Result]:
    """Time it and measure the peak memory of the whole process, over the size of the file."""
    path = export(network("vit_b_16"), folder / "vit_b_16.onnx", dynamo=False)
    apart = folder / "vit_b_16_external.onnx"
    weights = apart.with_suffix(".data")
    if not apart.exists():
        onnx.save(onnx.load(path), apart, save_as_external_data=True, location=weights.name)
    lines, memory = run_alone(_REWRITE, apart)
    size = (apart.stat().st_size + weights.stat().st_size) / 1e6
    yield at_most(f"ViT-B/16, {size:.0f} MB in two files, rewriting", float(lines[0]), 3, "s")
    yield at_most(
        "the same, peak memory of the process over the file's size", memory / size, 1.2, detail=f"{memory:.0f} MB"
    )
