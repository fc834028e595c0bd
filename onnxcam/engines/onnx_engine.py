"""The default engine: the model's gradient graph, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.differentiate import Seed, add_gradients, gradient_name
from onnxcam.autodiff.intercepts import intercept_name
from onnxcam.autodiff.registry import Table
from onnxcam.autodiff.seed import CLASS_INDEX, COTANGENT
from onnxcam.engines.result import EngineResult
from onnxcam.graph.io.model_file import Model
from onnxcam.graph.passes.expose import expose
from onnxcam.network.network import Network
from onnxcam.network.sessions import LoadedGraph, SessionPool
from onnxcam.relevance.fused import END, START, FusedRelevance, add_relevance
from onnxcam.runtime.session import Session
from onnxcam.targets.batch import TargetBatch

Tensor: TypeAlias = npt.NDArray[Any]

_LARGEST_BATCH = 64


class OnnxEngine:
    """Runs the gradient graph on onnxruntime.

    Targets that are classes take one run, the predicted class included. Any other target is a cotangent of the scores;
    where that depends on the scores themselves, the forward pass runs once before.
    """

    def __init__(
        self,
        network: Network,
        names: str | Sequence[str],
        pool: SessionPool,
        gradient: bool = True,
        *,
        rules: Table | None = None,
        relevance: FusedRelevance | None = None,
        intercepts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Remember what to compute; graphs are written and loaded when they are first needed.

        Args:
            network: the model.
            names: of the values to read, the layer first.
            pool: loads graphs, and says how they run.
            gradient: whether the gradients with respect to these values are needed.
            rules: of the backward pass; ONNX's gradients if not given.
            relevance: relevance to propagate in the same run. One that starts from Grad-CAM's terms needs the gradient.
            intercepts: groups of nodes whose terms in the score are read too, as of ``add_gradients``.
        """
        self.network = network
        self.names = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
        self.pool = pool
        self.gradient = gradient
        self.relevance = relevance
        self.intercepts = intercepts or {}
        self._rules = rules

    @property
    def runs_graphs(self) -> bool:
        """Always true: onnxruntime runs every graph that onnxcam writes."""
        return True

    def run(self, feeds: Mapping[str, Tensor], targets: TargetBatch) -> EngineResult:
        """Compute scores, activations and gradients; arguments and errors as of ``Engine.run``."""
        score = self.network.score.name
        if not self._has_backward_pass:
            found = self._run(self.forward, feeds)
        elif targets.in_graph:
            found = self._run(self.by_class, {**feeds, CLASS_INDEX: targets.indices})
        else:
            if not targets.is_resolved:
                targets = targets.resolved(self._run(self.forward, feeds)[score].astype(np.float32))
            found = self._run(self.by_cotangent, {**feeds, COTANGENT: targets.cotangents})
        scores = found[score].astype(np.float32)
        values = {name: found[name] for name in self.names}
        gradients = {name: found[gradient_name(name)] for name in self.names if gradient_name(name) in found}
        targets = targets if targets.is_resolved else targets.resolved(scores)
        intercepts = {group: found[intercept_name(group)] for group in self.intercepts if self._has_backward_pass}
        return EngineResult(scores, values, gradients, targets, found.get(START), found.get(END), intercepts)

    def run_shared(self, feeds: Mapping[str, Tensor], targets: TargetBatch, samples: Tensor) -> EngineResult:
        """Compute scores and values once for each sample and repeat them for its targets, without gradients."""
        found = self._run(self.forward, feeds)
        scores = found[self.network.score.name].astype(np.float32)[samples]
        return EngineResult(scores, {name: found[name][samples] for name in self.names}, {}, targets.resolved(scores))

    def trace(
        self, names: Sequence[str], feeds: Mapping[str, Tensor], cotangents: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return values and gradients of the weighted scores, by name; the graph is not added to the pool."""
        model = expose(self._with_gradients(names, "cotangent"), [*names, *map(gradient_name, names)])
        found = self._run(self.pool.open(self.network, model), {**feeds, COTANGENT: cotangents})
        return {name: found[name] for name in names}, {name: found[gradient_name(name)] for name in names}

    def at(self, name: str) -> OnnxEngine:
        """Return an engine of the same pool that reads another value."""
        return OnnxEngine(self.network, name, self.pool, self.gradient, rules=self._rules)

    @property
    def forward(self) -> Session:
        """The graph that computes scores and values."""
        return self._loaded("forward").session

    @property
    def by_class(self) -> Session:
        """The graph that also computes gradients, of a class given by its index."""
        return self._loaded("class").session

    @property
    def by_cotangent(self) -> Session:
        """The graph that also computes gradients, of any linear function of the scores."""
        return self._loaded("cotangent").session

    @property
    def session(self) -> Session:
        """The graph that explains a class, or a cotangent where the scores are no classes, loaded."""
        return self._usual.session

    @property
    def provider(self) -> str:
        """The execution provider that runs the graphs."""
        return self.session.provider

    @property
    def batch_size(self) -> int:
        """The number of samples that run at once."""
        return self._usual.rows

    @property
    def _usual(self) -> LoadedGraph:
        if not self._has_backward_pass:
            return self._loaded("forward")
        return self._loaded("class" if self.network.score.kind == "classes" else "cotangent")

    @property
    def _has_backward_pass(self) -> bool:
        return self.gradient or self.relevance is not None

    def _loaded(self, seed: Seed | str) -> LoadedGraph:
        """Return the graph that takes a class, or cotangents, or computes no gradients (``forward``)."""
        writers: dict[str, Callable[[], Model]] = {
            "forward": lambda: expose(self.network.model, self._wanted),
            "class": lambda: self._differentiated("class"),
            "cotangent": lambda: self._differentiated("cotangent"),
        }
        what = () if seed == "forward" else (self.relevance, tuple(self.intercepts), _ByIdentity(self._rules))
        key = ("engine", self.network.score.name, self.names, seed, *what)
        return self.pool.get(self.network, key, writers[seed], _LARGEST_BATCH)

    def _run(self, session: Session, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        fixed, shared = self.network.batch is not None, self.network.shared
        return session.run_batched(feeds, size=self.batch_size, fixed=fixed, shared=shared)

    @property
    def _wanted(self) -> list[str]:
        return list(dict.fromkeys([self.network.score.name, *self.names]))

    def _differentiated(self, seed: Seed) -> Model:
        network = self.network
        if self.relevance is not None:
            shared = self.pool.options.share_weights
            return add_relevance(
                network.model, network.score.name, self.names, self.relevance, seed, share_weights=shared
            )
        model = self._with_gradients(self.names, seed)
        terms = map(intercept_name, self.intercepts)
        return expose(model, [*self._wanted, *map(gradient_name, self.names), *terms])

    def _with_gradients(self, names: Sequence[str], seed: Seed) -> Model:
        return add_gradients(
            self.network.model,
            self.network.score.name,
            names,
            seed,
            table=self._rules,
            share_weights=self.pool.options.share_weights,
            intercepts=self.intercepts or None,
        )


class _ByIdentity:
    """Part of a key for an object without a hash: equal only where it holds the same object, which it keeps alive."""

    def __init__(self, held: object) -> None:
        self._held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self._held is other._held

    def __hash__(self) -> int:
        return id(self._held)
