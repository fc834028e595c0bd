"""What computes scores, activations and gradients of a network at a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.differentiate import Seed, add_gradients, gradient_name
from onnxcam.autodiff.registry import Table
from onnxcam.autodiff.seed import CLASS_INDEX, COTANGENT
from onnxcam.graph.analysis.values import expose
from onnxcam.graph.io.model_file import Model
from onnxcam.graph.io.serialize import bytes_per_sample
from onnxcam.network.network import Network, open_session
from onnxcam.relevance.fused import RELEVANCE, START, FusedRelevance, add_relevance
from onnxcam.runtime.providers import Provider
from onnxcam.runtime.session import Session
from onnxcam.targets.batch import TargetBatch, Targets, resolve_targets

Tensor: TypeAlias = npt.NDArray[Any]

# What the values of one run may take together: enough to keep any machine busy, little enough for all of them.
_MEMORY = 2**30
_LARGEST_BATCH = 64


@dataclass(frozen=True, eq=False)
class EngineResult:
    """What a run gives.

    Attributes:
        scores: the score tensor, float32, as the model shapes it.
        values: what was asked for, by name.
        gradients: of the explained number with respect to each of them; empty where no method asks for them.
        chosen: what was explained of each sample.
        start: what the engine's walk of relevance began with, if it has one.
        end: what arrived at its end.
    """

    scores: Tensor
    values: dict[str, Tensor]
    gradients: dict[str, Tensor]
    chosen: TargetBatch
    start: Tensor | None = None
    end: Tensor | None = None

    @property
    def a(self) -> Tensor:
        """The first value."""
        return next(iter(self.values.values()))

    @property
    def g(self) -> Tensor | None:
        """Its gradient, or None where no method asks for it."""
        return next(iter(self.gradients.values()), None)


class Engine:
    """Runs the gradient graph on onnxruntime.

    A vector of classes is explained in one pass, the predicted class included. Any other target is a cotangent of the
    scores, which for some targets must be known first: then the model runs once more.
    """

    def __init__(
        self,
        network: Network,
        names: str | Sequence[str],
        gradient: bool,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        batch_size: int | None = None,
        *,
        share_weights: bool = True,
        table: Table | None = None,
        descent: FusedRelevance | None = None,
    ) -> None:
        """Remember what to compute; graphs are written and loaded when they are first needed.

        Args:
            network: the model.
            names: of the values to read, the layer first.
            gradient: whether their gradients are needed.
            providers: as for ``Explainer``.
            threads: as for ``Explainer``.
            batch_size: samples a run; None for as many as fit about 1 GiB of values.
            share_weights: as for ``Explainer``.
            table: rules; ONNX's gradients if not given.
            descent: walk of relevance to run along. One that begins with terms needs the gradient too.
        """
        self.network = network
        self.names = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
        self.gradient = gradient
        self._providers = providers
        self._threads = threads
        self._batch_size = batch_size
        self._share_weights = share_weights
        self._table = table
        self.descent = descent
        self._sample_bytes = 0

    def run(self, feeds: Mapping[str, Tensor], targets: Targets, labels: Sequence[str] | None) -> EngineResult:
        """Compute scores, activations and gradients.

        Raises:
            TargetError: there is no such target.
            InputError: the model does not take such arrays.
            ProviderError: the provider fails.
        """
        return self.explain(feeds, resolve_targets(targets, self.network.count(feeds), self.network.score, labels))

    def explain(self, feeds: Mapping[str, Tensor], chosen: TargetBatch) -> EngineResult:
        """Compute the same for targets that have been chosen; those of another run keep the class they had there."""
        score = self.network.score.name
        if not self._goes_back:
            found = self._run(self.plain, feeds)
        elif chosen.in_graph:
            found = self._run(self.by_class, {**feeds, CLASS_INDEX: chosen.indices})
        else:
            if not chosen.is_resolved:
                chosen = chosen.resolved(self._run(self.plain, feeds)[score].astype(np.float32))
            found = self._run(self.by_cotangent, {**feeds, COTANGENT: chosen.cotangents})
        scores = found[score].astype(np.float32)
        values = {name: found[name] for name in self.names}
        gradients = {name: found[gradient_name(name)] for name in self.names if gradient_name(name) in found}
        chosen = chosen if chosen.is_resolved else chosen.resolved(scores)
        return EngineResult(scores, values, gradients, chosen, found.get(START), found.get(RELEVANCE))

    def shared(self, feeds: Mapping[str, Tensor], chosen: TargetBatch, samples: Tensor) -> EngineResult:
        """Compute scores and values once for each sample and repeat them for its targets; gradients are left out."""
        found = self._run(self.plain, feeds)
        scores = found[self.network.score.name].astype(np.float32)[samples]
        return EngineResult(scores, {name: found[name][samples] for name in self.names}, {}, chosen.resolved(scores))

    def trace(
        self, names: Sequence[str], feeds: Mapping[str, Tensor], cotangents: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return many values and the gradients of the weighted scores with respect to each, by name."""
        session = self._open(expose(self._with_gradients(names, "cotangent"), [*names, *map(gradient_name, names)]))
        found = self._run(session, {**feeds, COTANGENT: cotangents})
        return {name: found[name] for name in names}, {name: found[gradient_name(name)] for name in names}

    def _run(self, session: Session, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        fixed, shared = self.network.batch is not None, self.network.shared
        return session.run_batched(feeds, size=self.batch_size, fixed=fixed, shared=shared)

    @cached_property
    def plain(self) -> Session:
        """Scores and activations."""
        return self._open(expose(self.network.model, self._wanted))

    @cached_property
    def by_class(self) -> Session:
        """The same and gradients, of a class given by index."""
        return self._differentiated("class")

    @cached_property
    def by_cotangent(self) -> Session:
        """The same and gradients, of any linear function of the scores."""
        return self._differentiated("cotangent")

    @property
    def session(self) -> Session:
        """The session of the usual case."""
        if not self._goes_back:
            return self.plain
        return self.by_class if self.network.score.kind == "classes" else self.by_cotangent

    @property
    def provider(self) -> str:
        """What runs the model."""
        return self.session.provider

    @cached_property
    def batch_size(self) -> int:
        """Samples a run."""
        if self.network.batch is not None:
            return self.network.batch
        if self._batch_size is not None:
            return self._batch_size
        _ = self.session
        return max(1, min(_LARGEST_BATCH, _MEMORY // max(self._sample_bytes, 1)))

    @property
    def _goes_back(self) -> bool:
        return self.gradient or self.descent is not None

    @property
    def _wanted(self) -> list[str]:
        return list(dict.fromkeys([self.network.score.name, *self.names]))

    def _differentiated(self, seed: Seed) -> Session:
        if self.descent is not None:
            network, shared = self.network, self._share_weights
            return self._open(
                add_relevance(network.model, network.score.name, self.names, self.descent, seed, share_weights=shared)
            )
        model = self._with_gradients(self.names, seed)
        return self._open(expose(model, [*self._wanted, *map(gradient_name, self.names)]))

    def _with_gradients(self, names: Sequence[str], seed: Seed) -> Model:
        return add_gradients(
            self.network.model,
            self.network.score.name,
            names,
            seed,
            table=self._table,
            share_weights=self._share_weights,
        )

    def _open(self, model: Model) -> Session:
        self._sample_bytes = bytes_per_sample(model)
        return open_session(model, self._providers, threads=self._threads, folder=self.network.folder)
