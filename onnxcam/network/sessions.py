"""How graphs made of a network are run: sessions, and pieces of what has too many rows for one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.graph.io.model_file import Model
from onnxcam.graph.io.serialize import bytes_per_sample
from onnxcam.network.network import Network, open_session
from onnxcam.runtime.providers import Provider
from onnxcam.runtime.session import Session

Tensor: TypeAlias = npt.NDArray[Any]

# What the values of one run may take together, all counted though most are freed on the way.
_MEMORY = 2**30
_MOST_ROWS = 256


@dataclass(frozen=True)
class RunOptions:
    """How sessions are opened.

    Attributes:
        providers: of onnxruntime, best first.
        threads: for one operator.
        batch_size: rows a run; None for as many as fit the memory bound.
        share_weights: let backward passes read the forward pass's weights.
    """

    providers: Sequence[Provider] | None = None
    threads: int | None = None
    batch_size: int | None = None
    share_weights: bool = True

    def open(self, network: Network, model: Model) -> Session:
        """Load a graph made of the network's."""
        return open_session(model, self.providers, threads=self.threads, folder=network.folder)

    def rows(self, network: Network, model: Model) -> int:
        """Return how many rows of a graph run at once."""
        if network.batch is not None:
            return network.batch
        if self.batch_size is not None:
            return self.batch_size
        return max(1, min(_MOST_ROWS, _MEMORY // max(bytes_per_sample(model), 1)))


def in_pieces(rows: Tensor, size: int, fixed: bool, run: Callable[[Tensor], Tensor]) -> Tensor:
    """Run many rows in pieces of ``size``, each of them filled up where the graph insists on that number."""
    pieces = []
    for start in range(0, len(rows), size):
        piece = rows[start : start + size]
        count = len(piece)
        if fixed and count < size:
            piece = np.concatenate([piece, np.repeat(piece[-1:], size - count, axis=0)])
        pieces.append(run(piece)[:count])
    return np.concatenate(pieces)
