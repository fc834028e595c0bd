"""Relevance of a network's values, by any composite, from any of its values down to any before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.seed import COTANGENT
from onnxcam.graph.analysis.values import expose
from onnxcam.graph.io.model_file import Model
from onnxcam.network.network import Network
from onnxcam.network.sessions import RunOptions
from onnxcam.relevance.composite import Composite
from onnxcam.relevance.fused import folded
from onnxcam.relevance.table import refuse_unlisted, relevance_table
from onnxcam.runtime.session import Session

Tensor: TypeAlias = npt.NDArray[Any]


class RelevanceRuns:
    """Writes and loads the graph of each walk once."""

    def __init__(self, network: Network, running: RunOptions) -> None:
        """Remember what to run; nothing is written yet."""
        self.network = network
        self._running = running
        self._forms: dict[tuple[str, str, Composite], tuple[Session, int]] = {}

    def run(self, feeds: Mapping[str, Tensor], start: Tensor, composite: Composite, of: str, to: str) -> Tensor:
        """Return the relevance of a value.

        Args:
            feeds: an array for each input, a row for each of ``start``'s.
            start: relevance of ``of``, of its shape.
            composite: rules.
            of: name of the value to start at.
            to: name of the value to end at, which ``of`` depends on.

        Raises:
            DependencyError: it does not.
            UnsupportedError: operators that relevance has no rule for, all listed.
        """
        if of == to:
            return start
        session, size = self._form(of, to, composite)
        given = {**feeds, COTANGENT: np.ascontiguousarray(start, np.float32)}
        needed = {name: given[name] for name in session.inputs}
        fixed, shared = self.network.batch is not None, self.network.shared
        return session.run_batched(needed, size=size, fixed=fixed, shared=shared)[gradient_name(to)]

    def _form(self, of: str, to: str, composite: Composite) -> tuple[Session, int]:
        key = (of, to, composite)
        if key not in self._forms:
            model = self._write(of, to, composite)
            self._forms[key] = self._running.open(self.network, model), self._running.rows(self.network, model)
        return self._forms[key]

    def _write(self, of: str, to: str, composite: Composite) -> Model:
        model = expose(folded(self.network.model, [of, to]), [of])
        shared, table = self._running.share_weights, relevance_table(composite)
        refuse_unlisted(model, of, to, table)
        walked = add_gradients(model, of, [to], table=table, share_weights=shared)
        return expose(walked, [gradient_name(to)])
