"""Load a graph that is held in memory into onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnxcam.graph.io.model_file import Model
from onnxcam.graph.io.serialize import serialize
from onnxcam.runtime.providers import Provider
from onnxcam.runtime.session import Session


def open_session(
    model: Model, providers: Sequence[Provider] | None, *, threads: int | None = None, folder: Path | None = None
) -> Session:
    """Load a graph; its weights are used where they are in memory, without a copy.

    Args:
        model: the graph.
        providers: of onnxruntime, best first; None for CUDA where it works, else the CPU.
        threads: for one operator; None for all cores.
        folder: the folder of external weights.

    Raises:
        ModelError: onnxruntime rejects the graph.
        ProviderError: a requested provider does not load.
    """
    parts = serialize(model)
    return Session(parts.data, providers, threads=threads, folder=folder, weights=parts.weights)
