"""What a method reads of a network: layers, and for some methods biases or attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from onnxcam.attribution.biases import Biases, find_biases, with_functions_written_out
from onnxcam.errors import DependencyError, UnsupportedError
from onnxcam.graph.analysis.attention_sites import AttentionSite, attention_sites
from onnxcam.graph.analysis.axes import spatial_axes
from onnxcam.graph.analysis.inputs import image_input
from onnxcam.graph.analysis.layers import Layer, find_layer
from onnxcam.graph.analysis.linear_head import is_affine, is_gap_linear
from onnxcam.graph.analysis.reachability import ancestors
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.passes.dequantize_layer import dequantize_layer
from onnxcam.methods.base import ActivationMethod, Method
from onnxcam.methods.nested import NestedMethod
from onnxcam.methods.support.propagating import propagating_method
from onnxcam.network.network import Network
from onnxcam.relevance.fused import FusedRelevance


@dataclass(frozen=True, eq=False)
class Plan:
    """What a method reads of one network.

    Attributes:
        network: with quantised layers as the real numbers that they stand for.
        layers: the layer first, then the others that the method combines or ends at.
        combined: how many of them, from the first on, the method reads; a layer where it ends is not read.
        affine: whether the score is an affine function of the first one.
        relevance: relevance that is propagated in the same run as the forward pass, if the method allows it.
        biases: what layers and activations add, if the method reads it.
        attentions: the attention matrices of a transformer, if the method reads them.
    """

    network: Network
    layers: tuple[Layer, ...]
    combined: int
    affine: bool
    relevance: FusedRelevance | None
    biases: Biases
    attentions: tuple[AttentionSite, ...]

    @property
    def names(self) -> list[str]:
        """Names of the values that are read, the layer first."""
        return [
            *(layer.name for layer in self.layers[: self.combined]),
            *(site.name for site in self.biases.constants),
            *(site.name for site in self.attentions),
        ]

    @property
    def is_one_layer(self) -> bool:
        """Whether the layer is all that is read."""
        return len(self.names) == 1


def plan_for(method: Method, network: Network, wanted: str | int | None) -> Plan:
    """Return what a method reads of a network.

    Args:
        method: the method.
        network: the network.
        wanted: name or index of the layer; None for the default.

    Raises:
        NameNotFoundError: there is no such layer.
        DependencyError: the score does not depend on a layer, and the method explains the score; or the layer where it
            starts does not depend on the one where it ends.
        UnsupportedError: the method does not apply to this network, or the layer has nothing to locate.
    """
    score = network.score.name
    found = [_layer(method, network, wanted)]
    needs = method.needs
    others = needs.layers if needs.ends_at is None else (needs.ends_at,)
    found += [find_layer(network.model.graph, score, other) for other in others]
    if not _explains_no_score(method):
        _refuse_unused(network, found)
    if needs.at == "layer" and needs.ends_at is not None:
        _refuse_end(network, found[0], found[1:])
    _refuse_head(method, network, found[0])
    layers = []
    for layer in found:
        model, name = dequantize_layer(network.model, layer.name)
        network = replace(network, model=model)
        layers.append(replace(layer, name=name))
    if needs.reads == "biases":
        network = with_functions_written_out(network, layers[0].name)
    graph = network.model.graph
    return Plan(
        network,
        tuple(layers),
        1 + len(needs.layers),
        needs.at == "layer" and is_affine(graph, layers[0].name, score),
        _fused_relevance(method, network, layers),
        find_biases(network) if needs.reads == "biases" else Biases(),
        attention_sites(graph, score) if needs.reads == "attentions" else (),
    )


def _fused_relevance(method: Method, network: Network, layers: Sequence[Layer]) -> FusedRelevance | None:
    """Return what a method, or the one inside it, propagates, if a graph can start that by itself."""
    inner = propagating_method(method)
    if inner is None or inner.initial_relevance is None or inner.rules is None:
        return None
    if method.needs.layers or method.needs.gradient != inner.needs.gradient:
        return None  # a wrapper around it reads more
    layer, graph = layers[0], network.model.graph
    of = network.score.name if inner.initial_relevance == "score" else layer.name
    to = image_input(graph).value if inner.end == "input" else layers[inner.end + 1].name
    if of == to or (inner.initial_relevance == "terms" and "T" in layer.axes):
        return None
    return FusedRelevance(inner.rules, inner.initial_relevance, of, to, tuple(spatial_axes(layer.axes)))


def _layer(method: Method, network: Network, wanted: str | int | None) -> Layer:
    graph, score = network.model.graph, network.score.name
    if method.needs.at == "input":
        if wanted is not None:
            raise UnsupportedError(f"{method.name} explains at the input; leave the layer out")
        entry = image_input(graph)
        return Layer(entry.value, "", "", entry.shape, entry.axes)
    return find_layer(graph, score, wanted)


def _refuse_head(method: Method, network: Network, layer: Layer) -> None:
    """Refuse a method whose formula holds for another head only."""
    if method.needs.head == "gap-linear" and not is_gap_linear(network.model.graph, layer.name, network.score.name):
        raise UnsupportedError(
            f"{method.name} needs global average pooling and at most one linear layer after '{layer.name}', "
            "which this network does not have; use hires-cam or grad-cam, which work with any network"
        )


def _explains_no_score(method: Method) -> bool:
    """Whether a method, or the one inside, looks at activations alone: it can look at any layer, used or not."""
    return isinstance(method, ActivationMethod) or (
        isinstance(method, NestedMethod) and _explains_no_score(method.inner)
    )


def _refuse_unused(network: Network, layers: list[Layer]) -> None:
    """Refuse layers that the score is not computed from, whatever method would read them."""
    graph, score = network.model.graph, network.score.name
    used = ancestors(find_value(graph, score))
    for layer in layers:
        if find_value(graph, layer.name) not in used:
            raise DependencyError(
                f"the score '{score}' does not depend on '{layer.name}': it is not computed from it; "
                "choose a layer that the score depends on (onnxcam inspect lists them), or another --score"
            )


def _refuse_end(network: Network, layer: Layer, ends: list[Layer]) -> None:
    """Refuse to end at a layer that the one it starts at does not depend on."""
    graph = network.model.graph
    earlier = ancestors(find_value(graph, layer.name))
    for end in ends:
        if find_value(graph, end.name) not in earlier:
            raise DependencyError(
                f"the layer '{layer.name}' does not depend on '{end.name}', where the map is to end; "
                "end at the layer itself or at an earlier one (onnxcam inspect lists them), or at the input"
            )
