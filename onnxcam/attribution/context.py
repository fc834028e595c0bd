"""State that all batches of one explainer share: the plan of its method, its engine, and loaded graphs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from onnxcam.attribution.plan import Plan
from onnxcam.attribution.settings import Settings
from onnxcam.autodiff.differentiate import add_gradients
from onnxcam.autodiff.intercepts import REST, intercept_name
from onnxcam.engines.onnx_engine import OnnxEngine
from onnxcam.engines.protocol import Engine
from onnxcam.engines.torch_engine import TorchEngine
from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.inputs import ModelInput, image_input
from onnxcam.graph.analysis.layers import Layer
from onnxcam.graph.io.model_file import Model
from onnxcam.graph.passes.dequantize_layer import dequantize_layer
from onnxcam.graph.passes.expose import expose
from onnxcam.network.network import Network
from onnxcam.network.sessions import LoadedGraph, SessionPool
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
        biases = self.plan.biases
        if self.settings.engine == "torch":
            if biases.intercepts:
                raise UnsupportedError("the torch engine has no implicit biases of activations; use engine='onnx'")
            return TorchEngine(self.network, self.plan.names, self.pool.options, self.gradient)
        return OnnxEngine(
            self.network,
            self.plan.names,
            self.pool,
            self.gradient,
            relevance=self.plan.relevance,
            intercepts=biases.groups,
        )

    @cached_property
    def rest(self) -> LoadedGraph:
        """The graph that sums up what is added to the score without positions, of one run."""

        def write() -> Model:
            names = [self.layers[0].name]
            biases, score = self.plan.biases, self.network.score.name
            shared = self.pool.options.share_weights
            model = add_gradients(self.network.model, score, names, share_weights=shared, intercepts=biases.others)
            return expose(model, [intercept_name(REST)])

        return self.pool.get(self.network, ("rest of biases", self.network.score.name), write)

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
