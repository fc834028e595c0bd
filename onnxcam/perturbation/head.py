"""The two parts of a network, before and behind a layer, and what is asked of the second one alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.registry import Table
from onnxcam.autodiff.seed import COTANGENT
from onnxcam.errors import DependencyError
from onnxcam.graph.analysis.batch import with_samples
from onnxcam.graph.analysis.values import data_inputs, expose
from onnxcam.graph.io.model_file import Model
from onnxcam.graph.passes.cut import Cut, cut
from onnxcam.network.network import Network
from onnxcam.network.sessions import RunOptions, in_pieces
from onnxcam.perturbation import DIRECTION, KEEP, PRODUCT, SCORE_COTANGENT, curvature, keep_layer
from onnxcam.perturbation.broadcast import has_rows
from onnxcam.relevance.deeplift import deeplift_table, with_baseline
from onnxcam.runtime.session import Session

Tensor: TypeAlias = npt.NDArray[Any]


class HeadSessions:
    """A network cut at a layer, and the graphs that were made of the part behind it, loaded once for all batches."""

    def __init__(self, network: Network, layer: str, running: RunOptions) -> None:
        """Cut the network.

        Args:
            network: the model.
            layer: where to cut.
            running: how to run.

        Raises:
            DependencyError: the score does not depend on the layer.
        """
        self.network = network
        self.layer = layer
        self.score = network.score.name
        self.running = running
        self.cut: Cut = cut(expose(network.model, [self.score]), [layer])
        self.names = (*self.cut.at, *self.cut.beside)
        self._forms: dict[str, tuple[Session, int]] = {}

    def form(self, name: str, model: Callable[[], Model]) -> tuple[Session, int]:
        """Return a loaded graph by the name that it was first made under, and how many rows of it run at once."""
        if name not in self._forms:
            made = model()
            self._forms[name] = self.running.open(self.network, made), self.running.rows(self.network, made)
        return self._forms[name]

    def backward(self, model: Model, table: Table | None = None) -> Model:
        """Return a form of the second part that gives what a table of rules, by default the gradient's, leads back."""
        shared = self.running.share_weights
        found = add_gradients(model, self.score, [self.layer], table=table, share_weights=shared)
        return expose(found, [gradient_name(self.layer)])

    @cached_property
    def has_rows(self) -> bool:
        """Whether all that crosses has a row for each sample; else sizes of the whole run are among it."""
        inputs = {str(value.name): value for value in data_inputs(self.cut.head.graph)}
        return all(has_rows(inputs[name]) for name in self.names if name not in self.shared)

    @cached_property
    def shared(self) -> frozenset[str]:
        """Names of what crosses and is the same for all samples, and of the inputs that are."""
        graph = self.network.model.graph
        different = {value.name for value in with_samples(graph)}
        return self.network.shared | {name for name in self.names if name not in different}


class HeadRunner:
    """Runs what lies behind a layer, many times for each sample of a batch, on what the part before it gave once."""

    def __init__(
        self, parts: HeadSessions, feeds: Mapping[str, Tensor], known: Mapping[str, Tensor] | None = None
    ) -> None:
        """Remember the batch.

        Args:
            parts: the network, cut.
            feeds: an array for each input.
            known: values of the network for these inputs that need not be computed again.
        """
        self.parts = parts
        self.feeds = feeds
        self._known = {**feeds, **(known or {})}
        self._fixed = parts.network.batch is not None

    @cached_property
    def crossing(self) -> dict[str, Tensor] | None:
        """What the second part reads, a row for each sample; None where sizes of the whole run are among it."""
        if not self.parts.has_rows:
            return None
        names = self.parts.names
        if all(name in self._known for name in names):
            found = {name: self._known[name] for name in names}
        else:
            found = self._trunk(self.feeds, self.parts.running.rows(self.parts.network, self.parts.network.model))
        count, shared = self.parts.network.count(self.feeds), self.parts.shared
        return found if all(name in shared or len(found[name]) == count for name in names) else None

    def kept(self, sample: int, keep: Tensor, read: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a number for each row of ``keep``: the scores with the layer multiplied by it, as ``read`` tells.

        Args:
            sample: which one.
            keep: ``[M, ...]`` in the layer's own layout, or what broadcasts against it.
            read: what to keep of scores ``[m, ...]``.
        """
        score = self.parts.score
        session, size = self.parts.form("kept", lambda: keep_layer(self.parts.cut, self.parts.shared))
        return in_pieces(
            keep,
            size,
            self._fixed,
            lambda rows: read(session.run({KEEP: rows, **self._one(sample, len(rows))}, [score])[score]),
        )

    def gradients(self, samples: Sequence[int], cotangents: Tensor) -> Tensor:
        """Return the layer's gradient of the weighted scores for each of many targets, ``samples`` telling of what."""
        given = {COTANGENT: cotangents}
        return self._behind(
            "gradients",
            lambda: self.parts.backward(self.parts.cut.head),
            samples,
            given,
            gradient_name(self.parts.layer),
        )

    def curvature(self, samples: Sequence[int], cotangents: Tensor, v: Tensor) -> Tensor:
        """Return the second derivative of the weighted scores with respect to the layer, times ``v``."""
        given = {SCORE_COTANGENT: cotangents, DIRECTION: v}
        try:
            return self._behind(
                "curvature",
                lambda: curvature(self.parts.cut.head, self.parts.score, self.parts.layer),
                samples,
                given,
                PRODUCT,
            )
        except DependencyError:
            return np.zeros(v.shape, np.float32)

    def lift(self, samples: Sequence[int], cotangents: Tensor) -> Tensor:
        """Return DeepLIFT's multipliers of the layer against zeros."""
        return self._behind(
            "lift",
            lambda: self.parts.backward(
                with_baseline(self.parts.cut.head, self.parts.layer, self.parts.score), deeplift_table()
            ),
            samples,
            {COTANGENT: cotangents},
            gradient_name(self.parts.layer),
        )

    def _behind(
        self, name: str, model: Callable[[], Model], samples: Sequence[int], given: Mapping[str, Tensor], output: str
    ) -> Tensor:
        """Run a form of the second part with a row for each of some samples, which may repeat."""
        session, size = self.parts.form(name, model)
        places = np.asarray(samples)

        def run(rows: Tensor) -> Tensor:
            feeds = {**self._many(places[rows]), **{key: array[rows] for key, array in given.items()}}
            return session.run({key: feeds[key] for key in session.inputs}, [output])[output]

        return in_pieces(np.arange(len(places)), size, self._fixed, run)

    def _one(self, sample: int, count: int) -> dict[str, Tensor]:
        """Return what crosses for one sample, to be spread over ``count`` rows by the graph."""
        if self.crossing is None:
            return self._repeated((sample,) * count)
        return self._of(self.crossing, slice(sample, sample + 1))

    def _many(self, samples: Tensor) -> dict[str, Tensor]:
        """Return what crosses with a row for each of some samples."""
        if self.crossing is None:
            return self._repeated(tuple(samples.tolist()))
        return self._of(self.crossing, samples)

    def _of(self, crossing: Mapping[str, Tensor], samples: Tensor | slice) -> dict[str, Tensor]:
        shared = self.parts.shared
        return {name: array if name in shared else array[samples] for name, array in crossing.items()}

    @cached_property
    def _repeated(self) -> Callable[[tuple[int, ...]], dict[str, Tensor]]:
        """Run the first part on repeated samples: sizes that it computes are then those of the run that reads them."""

        @lru_cache(maxsize=2)
        def repeated(samples: tuple[int, ...]) -> dict[str, Tensor]:
            rows = np.array(samples)
            return self._trunk(self.parts.network.rows(self.feeds, rows), len(rows))

        return repeated

    def _trunk(self, feeds: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
        made: dict[str, Tensor] = {}
        if self.parts.cut.trunk is not None:
            trunk = self.parts.cut.trunk
            session, _ = self.parts.form("trunk", lambda: trunk)
            needed = {name: feeds[name] for name in session.inputs}
            made = session.run_batched(needed, size=size, fixed=self._fixed, shared=self.parts.shared)
        return {name: made.get(name, feeds.get(name, np.zeros(0))) for name in self.parts.names}
