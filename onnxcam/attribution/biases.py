"""Everything in a network that adds to the score beside the image: biases of layers, implicit ones of activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from onnxcam.autodiff.functions import definable, write_out_functions
from onnxcam.autodiff.intercept_sites import InterceptSite, intercept_sites
from onnxcam.autodiff.intercepts import REST
from onnxcam.autodiff.paths import between
from onnxcam.autodiff.registry import gradient_table
from onnxcam.graph.analysis.bias_sites import BiasSite, bias_sites
from onnxcam.graph.analysis.inputs import image_input
from onnxcam.graph.analysis.values import find_value
from onnxcam.network.network import Network


@dataclass(frozen=True, eq=False)
class Biases:
    """What FullGrad reads beside the input.

    Attributes:
        constants: of feature maps, one number a channel.
        intercepts: of feature maps, other numbers at each position: implicit biases, constants with positions.
        rest: names of the values at which something without positions is added.
    """

    constants: tuple[BiasSite, ...] = ()
    intercepts: tuple[InterceptSite, ...] = ()
    rest: tuple[str, ...] = ()

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The groups of nodes whose terms are maps, by name."""
        return {site.name: site.members for site in self.intercepts}

    @cached_property
    def others(self) -> Mapping[str, tuple[str, ...]]:
        """The group of all other nodes that count."""
        return {REST: self.rest}


def find_biases(network: Network) -> Biases:
    """Return what a network adds, from the image input on."""
    graph, score = network.model.graph, network.score.name
    constants = bias_sites(graph, score)
    covered = {name for site in constants for name in site.members}
    return Biases(constants, *intercept_sites(graph, image_input(graph), score, covered))


def with_functions_written_out(network: Network, source: str) -> Network:
    """Return a network without operators that are defined through others: what they add is found in these."""
    score, table = network.score.name, gradient_table()
    graph = network.model.graph
    if not definable(graph, between(graph, [find_value(graph, source)], find_value(graph, score))[0], table):
        return network
    model = network.model.clone()
    write_out_functions(
        model, lambda graph: between(graph, [find_value(graph, source)], find_value(graph, score))[0], table
    )
    return replace(network, model=model)
