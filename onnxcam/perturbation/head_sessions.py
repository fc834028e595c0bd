"""A network cut at a layer, and the graphs that are made of the part after it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.registry import Table
from onnxcam.graph.analysis.batch import with_samples
from onnxcam.graph.analysis.values import data_inputs
from onnxcam.graph.io.model_file import Model
from onnxcam.graph.passes.cut import Cut, cut
from onnxcam.graph.passes.expose import expose
from onnxcam.network.network import Network
from onnxcam.network.sessions import LoadedGraph, SessionPool
from onnxcam.perturbation.broadcast import has_rows


class HeadSessions:
    """The trunk of a network up to a layer and its head after it, with the sessions that run them.

    Attributes:
        network: the model.
        layer: name of the value where it is cut.
        score: name of the score.
        pool: loads graphs.
        cut: trunk and head.
        names: of the values that the head reads: the layer's, and others that cross the cut.
    """

    def __init__(self, network: Network, layer: str, pool: SessionPool) -> None:
        """Cut the network.

        Args:
            network: the model.
            layer: where to cut.
            pool: loads graphs, and says how they run.

        Raises:
            DependencyError: the score does not depend on the layer.
        """
        self.network = network
        self.layer = layer
        self.score = network.score.name
        self.pool = pool
        self.cut: Cut = cut(expose(network.model, [self.score]), [layer])
        self.names = (*self.cut.at, *self.cut.others)

    def get(self, name: str, build: Callable[[], Model]) -> LoadedGraph:
        """Return a graph made of trunk or head, loaded when it is first asked for."""
        return self.pool.get(self.network, ("head", self.score, self.layer, name), build)

    def with_gradient(self, model: Model, rules: Table | None = None) -> Model:
        """Return the head with one output: the layer's gradient, or what ``rules`` propagate to the layer instead."""
        shared = self.pool.options.share_weights
        found = add_gradients(model, self.score, [self.layer], table=rules, share_weights=shared)
        return expose(found, [gradient_name(self.layer)])

    @cached_property
    def has_rows(self) -> bool:
        """Whether every value that crosses the cut has a row for each sample; else some are sizes of the whole run."""
        inputs = {str(value.name): value for value in data_inputs(self.cut.head.graph)}
        return all(has_rows(inputs[name]) for name in self.names if name not in self.shared)

    @cached_property
    def shared(self) -> frozenset[str]:
        """Names of the inputs that all samples share, and of values that cross the cut and depend on those alone."""
        graph = self.network.model.graph
        different = {value.name for value in with_samples(graph)}
        return self.network.shared | {name for name in self.names if name not in different}
