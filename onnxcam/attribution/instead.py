"""Layers and methods to use where a map is only cancellation: each is tried on the sample before it is named."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from onnxcam.attribution.context import Context
from onnxcam.attribution.plan import plan_for
from onnxcam.attribution.view import BatchView, view_batch
from onnxcam.errors import OnnxcamError
from onnxcam.graph.analysis.layers import candidates
from onnxcam.methods.base import GradientMethod, Method, WeightedMethod
from onnxcam.methods.cancellation.recorded_view import RecordedView
from onnxcam.methods.cancellation.remaining import remaining
from onnxcam.methods.registry import methods
from onnxcam.network.sessions import SessionPool

# Layers that are tried: each is a graph to write, to load and to run once.
_TRIES = 3


@dataclass(frozen=True, eq=False)
class Instead:
    """Finds what does not cancel on one sample.

    Attributes:
        method: whose map does.
        context: of its explainer.
        view: a batch at its layer.
        row: the map.
        unit: of the arithmetic, as of ``remaining``.
    """

    method: Method
    context: Context
    view: BatchView
    row: int
    unit: float

    def advice(self) -> str:
        """Return what to use instead, the end of a warning."""
        layer = next((name for name in self._layers() if self._holds_at(self.method, name)), None)
        named = [f"the layer '{layer}'"] if layer is not None else []
        if others := self._methods():
            named.append(f"the {'method' if len(others) == 1 else 'methods'} {', '.join(others)}")
        return f"use {' or '.join(named)}" if named else "choose another layer (onnxcam inspect lists them) or method"

    def _layers(self) -> list[str]:
        """Return names of layers to try: later ones (what a normalisation gives), then earlier, nearest first."""
        needs = self.method.needs
        if needs.at == "input" or needs.layers or needs.reads != "layer":
            return []
        network, layer = self.context.network, self.context.layers[0].name
        graph = network.model.graph
        order = {value.name: at for at, value in enumerate(v for node in graph for v in node.outputs)}
        here = order.get(layer, -1)
        offered = [one.name for one in candidates(graph, network.score.name) if one.name != layer]
        later = [name for name in offered if order.get(name, -1) > here]
        earlier = [name for name in offered if order.get(name, -1) < here]
        return [*later, *earlier[::-1]][:_TRIES]

    def _methods(self) -> list[str]:
        """Return the methods of gradient and activation that hold at the same layer, and one of attention."""
        needs = self.method.needs
        found = []
        for name, cls in methods().items():
            if needs.gradient and issubclass(cls, WeightedMethod if needs.at == "layer" else GradientMethod):
                own = cls()
                same = own.needs.at == needs.at and own.needs.head == "any" and name != self.method.name
                if same and self._holds(own, self.view, self.row):
                    found.append(name)
        attention = (name for name, cls in methods().items() if cls().needs.reads == "attentions")
        return [*found, *(name for name in list(attention)[:1] if self._holds_at(methods()[name](), None))]

    def _holds_at(self, method: Method, layer: str | None) -> bool:
        """Whether a method applies to the network at a layer, and its map there is not only cancellation."""
        network, pool = self.context.network, SessionPool(self.context.pool.options)
        try:
            plan = plan_for(method, network, layer)
            settings = replace(self.context.settings, progress=None)
            context = Context(plan, settings, pool, method.needs.gradient)
            feeds = network.rows(self.view.feeds, self.view.samples[[self.row]])
            targets = self.view.result.targets.rows([self.row])
            return self._holds(method, view_batch(context, feeds, targets, np.arange(1)), 0)
        except OnnxcamError:
            return False  # what does not apply is not named

    def _holds(self, method: Method, view: BatchView, row: int) -> bool:
        record = RecordedView(view)
        raw = np.asarray(method.explain(record), np.float32)
        return bool(raw[row].max() > 0 and np.isnan(remaining(method, record, raw, self.unit)[row]))
