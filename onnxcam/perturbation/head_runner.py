"""Run the head many times for each sample, on the values that the trunk has computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.differentiate import gradient_name
from onnxcam.autodiff.seed import COTANGENT
from onnxcam.errors import DependencyError
from onnxcam.graph.io.model_file import Model
from onnxcam.network.sessions import run_in_pieces
from onnxcam.perturbation import DIRECTION, KEEP, PRODUCT, SCORE_COTANGENT, ablate_layer, hessian_vector_product
from onnxcam.perturbation.head_sessions import HeadSessions
from onnxcam.relevance.deeplift.baseline import KEPT, with_baseline
from onnxcam.relevance.deeplift.table import deeplift_table

Tensor: TypeAlias = npt.NDArray[Any]


class HeadRunner:
    """Runs the head of a network many times for each sample of a batch; the trunk runs once."""

    def __init__(
        self, sessions: HeadSessions, feeds: Mapping[str, Tensor], known: Mapping[str, Tensor] | None = None
    ) -> None:
        """Remember the batch.

        Args:
            sessions: the network, cut at the layer.
            feeds: an array for each input.
            known: values of the network for these inputs that need not be computed again.
        """
        self.sessions = sessions
        self.feeds = feeds
        self._known = {**feeds, **(known or {})}
        self._fixed = sessions.network.batch is not None

    @cached_property
    def crossing(self) -> dict[str, Tensor] | None:
        """The values that the head reads, a row for each sample; None where sizes of the whole run are among them."""
        if not self.sessions.has_rows:
            return None
        names = self.sessions.names
        if all(name in self._known for name in names):
            found = {name: self._known[name] for name in names}
        else:
            found = self._trunk(self.feeds, self.sessions.pool.rows(self.sessions.network, self.sessions.network.model))
        count, shared = self.sessions.network.count(self.feeds), self.sessions.shared
        return found if all(name in shared or len(found[name]) == count for name in names) else None

    def ablated(
        self, sample: int, keep: Tensor, read: Callable[[Tensor], Tensor], value: Tensor | None = None
    ) -> Tensor:
        """Return a number for each row of ``keep``, from the scores with the layer's value multiplied by that row.

        Args:
            sample: which one of the batch.
            keep: factors ``[M, ...]`` in the layer's own layout, or what broadcasts against it.
            read: makes one number of each row of scores ``[m, ...]``.
            value: ``[1, ...]``, in place of the layer's own value of that sample.

        Returns:
            ``[M]``.
        """
        score = self.sessions.score
        graph = self.sessions.get("ablated", lambda: ablate_layer(self.sessions.cut, self.sessions.shared))
        other = {} if value is None else {self.sessions.layer: value}
        return run_in_pieces(
            keep,
            graph.rows,
            self._fixed,
            lambda rows: read(graph.session.run({KEEP: rows, **self._one(sample, len(rows)), **other}, [score])[score]),
        )

    def gradients(self, samples: Sequence[int], cotangents: Tensor) -> Tensor:
        """Return the gradient of the weighted scores with respect to the layer, for each of many targets.

        Args:
            samples: for each target, the sample that it belongs to.
            cotangents: weight of each score, a row for each target.
        """
        given = {COTANGENT: cotangents}
        return self._run_head(
            "gradients",
            lambda: self.sessions.with_gradient(self.sessions.cut.head),
            samples,
            given,
            gradient_name(self.sessions.layer),
        )

    def hessian_vector_product(self, samples: Sequence[int], cotangents: Tensor, v: Tensor) -> Tensor:
        """Return the second derivative of the weighted scores with respect to the layer, times ``v``.

        Zeros where the gradient does not depend on the layer, because the head is piecewise linear.
        """
        given = {SCORE_COTANGENT: cotangents, DIRECTION: v}
        try:
            return self._run_head(
                "hessian",
                lambda: hessian_vector_product(self.sessions.cut.head, self.sessions.score, self.sessions.layer),
                samples,
                given,
                PRODUCT,
            )
        except DependencyError:
            return np.zeros(v.shape, np.float32)

    def deeplift_multipliers(self, samples: Sequence[int], cotangents: Tensor, kept: Tensor | None = None) -> Tensor:
        """Return DeepLIFT's multipliers of the layer against a baseline of zeros.

        Args:
            samples: for each target, the sample that it belongs to.
            cotangents: weight of each score, a row for each target.
            kept: factors ``[1, ...]`` in the layer's own layout, 1 for what stays as it is in the baseline.
        """
        cut, layer, score = self.sessions.cut, self.sessions.layer, self.sessions.score
        given = {COTANGENT: cotangents}
        if kept is not None:
            given[KEPT] = np.repeat(kept.astype(np.float32), len(samples), axis=0)
        return self._run_head(
            "deeplift" if kept is None else "deeplift beside kept",
            lambda: self.sessions.with_gradient(
                with_baseline(cut.head, layer, score, keeps=kept is not None), deeplift_table()
            ),
            samples,
            given,
            gradient_name(layer),
        )

    def _run_head(
        self, name: str, model: Callable[[], Model], samples: Sequence[int], given: Mapping[str, Tensor], output: str
    ) -> Tensor:
        """Run a graph made of the head with a row for each of some samples, which may repeat."""
        graph = self.sessions.get(name, model)
        rows_of = np.asarray(samples)

        def run(rows: Tensor) -> Tensor:
            feeds = {**self._many(rows_of[rows]), **{key: array[rows] for key, array in given.items()}}
            return graph.session.run({key: feeds[key] for key in graph.session.inputs}, [output])[output]

        return run_in_pieces(np.arange(len(rows_of)), graph.rows, self._fixed, run)

    def _one(self, sample: int, count: int) -> dict[str, Tensor]:
        """Return what crosses the cut for one sample; the graph repeats it for ``count`` rows."""
        if self.crossing is None:
            return self._repeated((sample,) * count)
        return self._select(self.crossing, slice(sample, sample + 1))

    def _many(self, samples: Tensor) -> dict[str, Tensor]:
        """Return what crosses the cut with a row for each of some samples."""
        if self.crossing is None:
            return self._repeated(tuple(samples.tolist()))
        return self._select(self.crossing, samples)

    def _select(self, crossing: Mapping[str, Tensor], samples: Tensor | slice) -> dict[str, Tensor]:
        """Return the rows of some samples; what all samples share stays whole."""
        shared = self.sessions.shared
        return {name: array if name in shared else array[samples] for name, array in crossing.items()}

    @cached_property
    def _repeated(self) -> Callable[[tuple[int, ...]], dict[str, Tensor]]:
        """Run the trunk on repeated samples: sizes that it computes are then those of the run that reads them."""

        @lru_cache(maxsize=2)
        def repeated(samples: tuple[int, ...]) -> dict[str, Tensor]:
            rows = np.array(samples)
            return self._trunk(self.sessions.network.rows(self.feeds, rows), len(rows))

        return repeated

    def _trunk(self, feeds: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
        """Run the trunk, ``size`` samples at once, and return what the head reads."""
        made: dict[str, Tensor] = {}
        if self.sessions.cut.trunk is not None:
            trunk = self.sessions.cut.trunk
            session = self.sessions.get("trunk", lambda: trunk).session
            needed = {name: feeds[name] for name in session.inputs}
            made = session.run_batched(needed, size=size, fixed=self._fixed, shared=self.sessions.shared)
        return {name: made.get(name, feeds.get(name, np.zeros(0))) for name in self.sessions.names}
