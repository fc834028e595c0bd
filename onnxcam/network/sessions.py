"""Sessions of the graphs that are made of a network: each graph is written and loaded once and then shared."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.graph.io.model_file import Model
from onnxcam.graph.io.serialize import bytes_per_sample
from onnxcam.network.network import Network
from onnxcam.network.open_session import open_session
from onnxcam.network.run_options import RunOptions
from onnxcam.runtime.session import Session

Tensor: TypeAlias = npt.NDArray[Any]

# More rows in one run make nothing faster.
_MOST_ROWS = 256


@dataclass(frozen=True, eq=False)
class LoadedGraph:
    """A graph in a session.

    Attributes:
        session: runs it.
        rows: how many samples run at once.
    """

    session: Session
    rows: int


class SessionPool:
    """Graphs that have been loaded, by network and key.

    Attributes:
        options: how they run.
    """

    def __init__(self, options: RunOptions | None = None) -> None:
        """Make an empty pool; ``options`` default to those of ``RunOptions``."""
        self.options = options or RunOptions()
        self._loaded: dict[tuple[Model, Hashable], LoadedGraph] = {}

    def get(
        self, network: Network, key: Hashable, build: Callable[[], Model], most_rows: int = _MOST_ROWS
    ) -> LoadedGraph:
        """Return the loaded graph of that key, which is built and loaded when it is first asked for.

        Args:
            network: what the graph is made of; graphs of two models are distinct though their keys are equal.
            key: what distinguishes the graph from all others of the network, such as ``("masked", True)``.
            build: writes the graph.
            most_rows: upper bound of the rows a run where no batch size is asked for.

        Raises:
            ModelError: onnxruntime rejects the graph.
            ProviderError: a requested provider does not load.
        """
        entry = network.model, key
        if entry not in self._loaded:
            model = build()
            self._loaded[entry] = LoadedGraph(self.open(network, model), self.rows(network, model, most_rows))
        return self._loaded[entry]

    def open(self, network: Network, model: Model) -> Session:
        """Load a graph of a network without adding it to the pool."""
        return open_session(model, self.options.providers, threads=self.options.threads, folder=network.folder)

    def rows(self, network: Network, model: Model, most: int = _MOST_ROWS) -> int:
        """Return how many rows of a graph run at once.

        That is the number that the file fixes, else ``options.batch_size``, else what fits ``options.memory``.
        """
        if network.batch is not None:
            return network.batch
        if self.options.batch_size is not None:
            return self.options.batch_size
        return max(1, min(most, self.options.memory // max(bytes_per_sample(model), 1)))


def run_in_pieces(rows: Tensor, size: int, fixed: bool, run: Callable[[Tensor], Tensor]) -> Tensor:
    """Run rows in pieces of ``size``; where that is ``fixed``, the last piece is filled up with its last row."""
    pieces = []
    for start in range(0, len(rows), size):
        piece = rows[start : start + size]
        count = len(piece)
        if fixed and count < size:
            piece = np.concatenate([piece, np.repeat(piece[-1:], size - count, axis=0)])
        pieces.append(run(piece)[:count])
    return np.concatenate(pieces)
