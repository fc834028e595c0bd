"""The two parts of a network, before and behind a layer, and what is asked of the second one alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.registry import Table
from onnxcam.autodiff.seed import COTANGENT
from onnxcam.errors import DependencyError
from onnxcam.graph.canonical import Model
from onnxcam.graph.cut import Cut, cut
from onnxcam.graph.serialize import bytes_per_sample
from onnxcam.graph.values import data_inputs, expose
from onnxcam.network import Network, open_session
from onnxcam.perturbation import DIRECTION, KEEP, PRODUCT, SCORE_COTANGENT, curvature, keep_layer
from onnxcam.perturbation.spread import has_rows
from onnxcam.relevance.deeplift import deeplift_table, with_baseline
from onnxcam.runtime.providers import Provider
from onnxcam.runtime.session import Session

Tensor: TypeAlias = npt.NDArray[Any]

# What the values of one run may take together. Larger runs gain nothing: the values no longer fit any cache.
_MEMORY = 2**28
_MOST_ROWS = 256


@dataclass(frozen=True)
class Running:
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


class Parts:
    """Runs what lies behind a layer, many times for each sample, on values that the part before it gave once."""

    def __init__(
        self,
        network: Network,
        layer: str,
        feeds: Mapping[str, Tensor],
        running: Running,
        known: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Cut the network.

        Args:
            network: the model.
            layer: where to cut.
            feeds: an array for each input.
            running: how to run.
            known: values of the network for these inputs that need not be computed again.

        Raises:
            DependencyError: the score does not depend on the layer.
        """
        self.network = network
        self.layer = layer
        self.feeds = feeds
        self.score = network.score.name
        self._known = {**feeds, **(known or {})}
        self._running = running
        self.parts: Cut = cut(expose(network.model, [self.score]), [layer])
        self._forms: dict[str, tuple[Session, int]] = {}

    @cached_property
    def crossing(self) -> dict[str, Tensor] | None:
        """What the second part reads, a row for each sample; None where sizes of the whole run are among it."""
        inputs = {str(value.name): value for value in data_inputs(self.parts.head.graph)}
        names = (*self.parts.at, *self.parts.beside)
        if not all(has_rows(inputs[name]) for name in names):
            return None
        if all(name in self._known for name in names):
            found = {name: self._known[name] for name in names}
        else:
            found = self._trunk(self.feeds, self._running.rows(self.network, self.network.model))
        count = len(next(iter(self.feeds.values())))
        return found if all(len(found[name]) == count for name in names) else None

    def kept(self, sample: int, keep: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a number for each row of ``keep``: the scores with the layer multiplied by it, as ``read`` tells.

        Args:
            sample: which one.
            keep: ``[M, ...]`` in the layer's own layout, or what broadcasts against it.
            read: what to keep of scores ``[m, ...]``.
        """
        session, size = self._form("kept", lambda: keep_layer(self.parts))
        return in_pieces(
            keep,
            size,
            self.network.batch is not None,
            lambda rows: read(session.run({KEEP: rows, **self._one(sample, len(rows))}, [self.score])[self.score]),
        )

    def gradients(self, samples: Sequence[int], cotangents: Tensor) -> Tensor:
        """Return the layer's gradient of the weighted scores for each of many targets, ``samples`` telling of what."""
        given = {COTANGENT: cotangents}
        return self._behind(
            "gradients", lambda: self._backward(self.parts.head), samples, given, gradient_name(self.layer)
        )

    def curvature(self, samples: Sequence[int], cotangents: Tensor, v: Tensor) -> Tensor:
        """Return the second derivative of the weighted scores with respect to the layer, times ``v``."""
        given = {SCORE_COTANGENT: cotangents, DIRECTION: v}
        try:
            return self._behind(
                "curvature", lambda: curvature(self.parts.head, self.score, self.layer), samples, given, PRODUCT
            )
        except DependencyError:
            return np.zeros(v.shape, np.float32)

    def lift(self, samples: Sequence[int], cotangents: Tensor) -> Tensor:
        """Return DeepLIFT's multipliers of the layer against zeros."""
        return self._behind(
            "lift",
            lambda: self._backward(with_baseline(self.parts.head, self.layer, self.score), deeplift_table()),
            samples,
            {COTANGENT: cotangents},
            gradient_name(self.layer),
        )

    def _backward(self, model: Model, table: Table | None = None) -> Model:
        shared = self._running.share_weights
        found = add_gradients(model, self.score, [self.layer], table=table, share_weights=shared)
        return expose(found, [gradient_name(self.layer)])

    def _behind(
        self, name: str, model: Callable[[], Model], samples: Sequence[int], given: Mapping[str, Tensor], output: str
    ) -> Tensor:
        """Run a form of the second part with a row for each of some samples, which may repeat."""
        session, size = self._form(name, model)
        places = np.asarray(samples)

        def run(rows: Tensor) -> Tensor:
            feeds = {**self._many(places[rows]), **{key: array[rows] for key, array in given.items()}}
            return session.run({key: feeds[key] for key in session.inputs}, [output])[output]

        return in_pieces(np.arange(len(places)), size, self.network.batch is not None, run)

    def _form(self, name: str, model: Callable[[], Model]) -> tuple[Session, int]:
        if name not in self._forms:
            made = model()
            self._forms[name] = self._running.open(self.network, made), self._running.rows(self.network, made)
        return self._forms[name]

    def _one(self, sample: int, count: int) -> dict[str, Tensor]:
        """Return what crosses for one sample, to be spread over ``count`` rows by the graph."""
        if self.crossing is None:
            return self._repeated((sample,) * count)
        return {name: self.crossing[name][sample : sample + 1] for name in (*self.parts.at, *self.parts.beside)}

    def _many(self, samples: Tensor) -> dict[str, Tensor]:
        """Return what crosses with a row for each of some samples."""
        if self.crossing is None:
            return self._repeated(tuple(samples.tolist()))
        return {name: self.crossing[name][samples] for name in (*self.parts.at, *self.parts.beside)}

    @cached_property
    def _repeated(self) -> Callable[[tuple[int, ...]], dict[str, Tensor]]:
        """Run the first part on repeated samples: sizes that it computes are then those of the run that reads them."""

        @lru_cache(maxsize=2)
        def repeated(samples: tuple[int, ...]) -> dict[str, Tensor]:
            rows = np.array(samples)
            return self._trunk({name: array[rows] for name, array in self.feeds.items()}, len(rows))

        return repeated

    def _trunk(self, feeds: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
        made: dict[str, Tensor] = {}
        if self.parts.trunk is not None:
            trunk = self.parts.trunk
            session, _ = self._form("trunk", lambda: trunk)
            needed = {name: feeds[name] for name in session.inputs}
            made = session.run_batched(needed, size=size, fixed=self.network.batch is not None)
        return {name: made.get(name, feeds.get(name, np.zeros(0))) for name in (*self.parts.at, *self.parts.beside)}


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
