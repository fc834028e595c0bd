"""Relevance of a network's values by any composite, from any value back to any earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.seed import COTANGENT
from onnxcam.graph.io.model_file import Model
from onnxcam.graph.passes.expose import expose
from onnxcam.network.network import Network
from onnxcam.network.sessions import SessionPool
from onnxcam.relevance.composite import Composite
from onnxcam.relevance.fused import folded
from onnxcam.relevance.table import refuse_unlisted, relevance_table

Tensor: TypeAlias = npt.NDArray[Any]


class RelevanceRuns:
    """Runs graphs of relevance that are given what they start with."""

    def __init__(self, network: Network, pool: SessionPool) -> None:
        """Remember what to run; nothing is written yet."""
        self.network = network
        self.pool = pool

    def run(self, feeds: Mapping[str, Tensor], relevance: Tensor, composite: Composite, start: str, end: str) -> Tensor:
        """Return the relevance of a value.

        Args:
            feeds: an array for each input, a row for each of ``relevance``'s.
            relevance: of the value ``start``, of its shape.
            composite: rules of propagation.
            start: name of the value where relevance starts.
            end: name of the value where it ends; ``start`` depends on it.

        Returns:
            Relevance of ``end``, of its shape, signed.

        Raises:
            DependencyError: ``start`` does not depend on ``end``.
            UnsupportedError: operators that relevance has no rule for, all listed.
        """
        if start == end:
            return relevance
        graph = self.pool.get(
            self.network, ("relevance", start, end, composite), lambda: self._write(start, end, composite)
        )
        given = {**feeds, COTANGENT: np.ascontiguousarray(relevance, np.float32)}
        needed = {name: given[name] for name in graph.session.inputs}
        fixed, shared = self.network.batch is not None, self.network.shared
        found = graph.session.run_batched(needed, size=graph.rows, fixed=fixed, shared=shared)
        return found[gradient_name(end)]

    def _write(self, start: str, end: str, composite: Composite) -> Model:
        model = expose(folded(self.network.model, [start, end]), [start])
        shared, table = self.pool.options.share_weights, relevance_table(composite)
        refuse_unlisted(model, start, end, table)
        propagated = add_gradients(model, start, [end], table=table, share_weights=shared)
        return expose(propagated, [gradient_name(end)])
