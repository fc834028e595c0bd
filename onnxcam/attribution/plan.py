"""What a method reads of a network: layers, and for some added constants or attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from onnxcam.errors import DependencyError, UnsupportedError
from onnxcam.graph.analysis.axes import spatial_axes
from onnxcam.graph.analysis.biases_attention import AttentionSite, BiasSite, attention_sites, bias_sites
from onnxcam.graph.analysis.head import is_affine, is_gap_linear
from onnxcam.graph.analysis.inputs import image_input
from onnxcam.graph.analysis.layers import Layer, find_layer
from onnxcam.graph.analysis.reachability import ancestors
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.passes.dequantize_layer import dequantized
from onnxcam.methods.base import ActivationMethod, Method
from onnxcam.methods.nested import NestedMethod
from onnxcam.methods.support.propagating import ending
from onnxcam.network.network import Network
from onnxcam.relevance.fused import FusedRelevance


@dataclass(frozen=True, eq=False)
class Plan:
    """The values that a method asks for.

    Attributes:
        network: with quantised layers as the real numbers that they stand for.
        layers: the layer first, then the others that the method combines or ends at.
        combined: how many of them it reads.
        affine: whether the score is an affine function of the first one.
        descent: the walk of relevance that goes along with the forward pass, if there is one.
        biases: places where constants are added, if the method reads them.
        attentions: those of a transformer, if the method reads them.
    """

    network: Network
    layers: tuple[Layer, ...]
    combined: int
    affine: bool
    descent: FusedRelevance | None
    biases: tuple[BiasSite, ...]
    attentions: tuple[AttentionSite, ...]

    @property
    def names(self) -> list[str]:
        """Names of the values that are read, the layer first."""
        return [
            *(layer.name for layer in self.layers[: self.combined]),
            *(site.name for site in self.biases),
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
            begins does not depend on the one where it ends.
        UnsupportedError: the method does not apply to this network, or the layer has nothing to locate.
    """
    score = network.score.name
    found = [_layer(method, network, wanted)]
    needs = method.needs
    others = needs.layers if needs.ends_at is None else (needs.ends_at,)
    found += [find_layer(network.model.graph, score, other) for other in others]
    if not _explains_no_score(method):
        _refuse_beside(network, found)
    if needs.at == "layer" and needs.ends_at is not None:
        _refuse_behind(network, found[0], found[1:])
    _refuse_head(method, network, found[0])
    layers = []
    for layer in found:
        model, name = dequantized(network.model, layer.name)
        network = replace(network, model=model)
        layers.append(replace(layer, name=name))
    graph = network.model.graph
    return Plan(
        network,
        tuple(layers),
        1 + len(needs.layers),
        needs.at == "layer" and is_affine(graph, layers[0].name, score),
        _descent(method, network, layers),
        bias_sites(graph, score) if needs.reads == "biases" else (),
        attention_sites(graph, score) if needs.reads == "attentions" else (),
    )


def _descent(method: Method, network: Network, layers: Sequence[Layer]) -> FusedRelevance | None:
    """Return the walk of a method, or of the one inside, if it goes down from where it begins and needs no tokens."""
    walking = ending(method)
    if walking is None or walking.begins is None or walking.rules is None:
        return None
    if method.needs.layers or method.needs.gradient != walking.needs.gradient:
        return None  # whatever is around it reads more
    layer, graph = layers[0], network.model.graph
    of = network.score.name if walking.begins == "score" else layer.name
    to = image_input(graph).value if walking.end == "input" else layers[walking.end + 1].name
    if of == to or (walking.begins == "terms" and "T" in layer.axes):
        return None
    return FusedRelevance(walking.rules, walking.begins, of, to, tuple(spatial_axes(layer.axes)))


def _layer(method: Method, network: Network, wanted: str | int | None) -> Layer:
    graph, score = network.model.graph, network.score.name
    if method.needs.at == "input":
        if wanted is not None:
            raise UnsupportedError(f"{method.name} explains at the input; leave the layer out")
        entry = image_input(graph)
        return Layer(entry.value, "", "", entry.shape, entry.axes)
    return find_layer(graph, score, wanted)


def _refuse_head(method: Method, network: Network, layer: Layer) -> None:
    """Refuse a method whose formula holds behind another head only."""
    if method.needs.head == "gap-linear" and not is_gap_linear(network.model.graph, layer.name, network.score.name):
        raise UnsupportedError(
            f"{method.name} needs global average pooling and at most one linear layer behind '{layer.name}', "
            "which this network does not have; use hires-cam or grad-cam, which work with any network"
        )


def _explains_no_score(method: Method) -> bool:
    """Whether a method, or the one inside, looks at activations alone: these are worth a look beside the way too."""
    return isinstance(method, ActivationMethod) or (
        isinstance(method, NestedMethod) and _explains_no_score(method.inner)
    )


def _refuse_beside(network: Network, layers: list[Layer]) -> None:
    """Refuse layers that the score is not computed from, whatever method would read them."""
    graph, score = network.model.graph, network.score.name
    on_way = ancestors(find_value(graph, score))
    for layer in layers:
        if find_value(graph, layer.name) not in on_way:
            raise DependencyError(
                f"the score '{score}' does not depend on '{layer.name}': it is not computed from it; "
                "choose a layer on the way to the score (onnxcam inspect lists them), or another --score"
            )


def _refuse_behind(network: Network, layer: Layer, ends: list[Layer]) -> None:
    """Refuse to end anywhere but on the way down from the layer."""
    graph = network.model.graph
    down = ancestors(find_value(graph, layer.name))
    for end in ends:
        if find_value(graph, end.name) not in down:
            raise DependencyError(
                f"the layer '{layer.name}' does not depend on '{end.name}', where the map is to end; "
                "end at the layer itself or at one before it (onnxcam inspect lists them), or at the input"
            )
