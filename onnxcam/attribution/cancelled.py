"""The warning about maps that are only what is left where their terms cancel."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from onnxcam.arrays import Array
from onnxcam.attribution.context import Context
from onnxcam.attribution.instead import Instead
from onnxcam.attribution.view import BatchView
from onnxcam.graph.analysis.dtypes import coarsest_unit
from onnxcam.methods.base import Method
from onnxcam.methods.cancellation.recorded_view import RecordedView
from onnxcam.methods.cancellation.remaining import remaining


class CancellationWarnings:
    """Warns of the maps of one explainer."""

    def __init__(self, method: Method, context: Context) -> None:
        """Remember whose maps they are; nothing is looked for before the first warning.

        Args:
            method: of the explainer.
            context: of the explainer.
        """
        self._method = method
        self._context = context
        self._advice: str | None = None

    def of(self, record: RecordedView, view: BatchView, raw: Array) -> list[list[str]]:
        """Return the warnings of each map: one, or none.

        Args:
            record: of the view, after the method has made its maps from it.
            view: the batch.
            raw: the maps, ``[N, *spatial]``.
        """
        lefts = remaining(self._method, record, raw, self._unit)
        return [[] if np.isnan(left) else [self._text(left, view, row)] for row, left in enumerate(lefts)]

    def _text(self, left: float, view: BatchView, row: int) -> str:
        # Terms cancel because of the network: what works for one sample works for the others.
        if self._advice is None:
            self._advice = Instead(self._method, self._context, view, row, self._unit).advice()
        return (
            f"the map is no evidence: its terms cancel, as they do where a normalisation follows, and only {left:.0e} "
            f"of them is left; {self._advice}"
        )

    @cached_property
    def _unit(self) -> float:
        return coarsest_unit(self._context.network.model.graph)
