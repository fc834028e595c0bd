"""State that all batches of one explainer share: the plan of its method, its engine, and loaded graphs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from onnxcam.attribution.plan import Plan
from onnxcam.attribution.settings import Settings
from onnxcam.engines.onnx_engine import OnnxEngine
from onnxcam.engines.protocol import Engine
from onnxcam.engines.torch_engine import TorchEngine
from onnxcam.graph.analysis.inputs import ModelInput, image_input
from onnxcam.graph.analysis.layers import Layer
from onnxcam.graph.passes.dequantize_layer import dequantize_layer
from onnxcam.network.network import Network
from onnxcam.network.sessions import SessionPool
from onnxcam.perturbation.head_sessions import HeadSessions
from onnxcam.perturbation.masked_runs import MaskedRuns
from onnxcam.relevance.guided import guided_table
from onnxcam.relevance.runs import RelevanceRuns


@dataclass(frozen=True, eq=False)
class Context:
    """What stays the same from one batch to the next.

    Attributes:
        plan: what the method reads of the network.
        settings: how the explainer works.
        pool: loads graphs.
        gradient: whether the method needs gradients.
    """

    plan: Plan
    settings: Settings
    pool: SessionPool
    gradient: bool
    _heads: dict[str, HeadSessions] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        """The model."""
        return self.plan.network

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layer first, then the others that the method combines or ends at."""
        return self.plan.layers

    @cached_property
    def image(self) -> ModelInput:
        """The input that holds the image."""
        return image_input(self.network.model.graph)

    @cached_property
    def engine(self) -> Engine:
        """What computes scores, values and gradients."""
        if self.settings.engine == "torch":
            return TorchEngine(self.network, self.plan.names, self.pool.options, self.gradient)
        return OnnxEngine(self.network, self.plan.names, self.pool, self.gradient, relevance=self.plan.relevance)

    @cached_property
    def guided(self) -> Engine:
        """An engine whose gradients of the image are those of guided backpropagation."""
        model, name = dequantize_layer(self.network.model, self.image.value)
        return OnnxEngine(replace(self.network, model=model), name, self.pool, rules=guided_table())

    @cached_property
    def masked(self) -> MaskedRuns:
        """The network on masked images."""
        return MaskedRuns(self.network, self.image, self.pool)

    @cached_property
    def relevance(self) -> RelevanceRuns:
        """Relevance propagated through the network."""
        return RelevanceRuns(self.network, self.pool)

    def head(self, layer: str) -> HeadSessions:
        """Return the network cut at a layer; the cut is made once."""
        if layer not in self._heads:
            self._heads[layer] = HeadSessions(self.network, layer, self.pool)
        return self._heads[layer]
