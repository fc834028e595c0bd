"""What a method reads of a network: layers, and for some added constants or attention."""

from __future__ import annotations

from dataclasses import dataclass, replace

from onnxcam.errors import UnsupportedError
from onnxcam.graph.dequantize import dequantized
from onnxcam.graph.head import is_affine, is_gap_linear
from onnxcam.graph.inputs import image_input
from onnxcam.graph.layers import Layer, find_layer
from onnxcam.graph.sites import AttentionSite, BiasSite, attention_sites, bias_sites
from onnxcam.methods.base import Method
from onnxcam.network import Network


@dataclass(frozen=True, eq=False)
class Reading:
    """The values that a method asks for.

    Attributes:
        network: with quantised layers as the real numbers that they stand for.
        layers: the layer first, then the others that the method combines or ends at.
        combined: how many of them it reads.
        affine: whether the score is an affine function of the first one.
        biases: places where constants are added, if the method reads them.
        attentions: those of a transformer, if the method reads them.
    """

    network: Network
    layers: tuple[Layer, ...]
    combined: int
    affine: bool
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


def read_for(method: Method, network: Network, wanted: str | int | None) -> Reading:
    """Return what a method reads of a network.

    Args:
        method: the method.
        network: the network.
        wanted: name or index of the layer; None for the default.

    Raises:
        NameNotFoundError: there is no such layer.
        UnsupportedError: the method does not apply to this network, or the layer has nothing to locate.
    """
    score = network.score.name
    found = [_layer(method, network, wanted)]
    found += [find_layer(network.model.graph, score, other) for other in method.layers]
    layers = []
    for layer in found:
        model, name = dequantized(network.model, layer.name)
        network = replace(network, model=model)
        layers.append(replace(layer, name=name))
    graph = network.model.graph
    return Reading(
        network,
        tuple(layers),
        len(layers) if method.combines else 1,
        method.at == "layer" and is_affine(graph, layers[0].name, score),
        bias_sites(graph, score) if method.reads == "biases" else (),
        attention_sites(graph, score) if method.reads == "attentions" else (),
    )


def _layer(method: Method, network: Network, wanted: str | int | None) -> Layer:
    graph, score = network.model.graph, network.score.name
    if method.at == "input":
        if wanted is not None:
            raise UnsupportedError(f"{method.name} explains at the input; leave the layer out")
        entry = image_input(graph)
        return Layer(entry.value, "", "", entry.shape, entry.axes)
    layer = find_layer(graph, score, wanted)
    if method.head == "gap-linear" and not is_gap_linear(graph, layer.name, score):
        raise UnsupportedError(
            f"{method.name} needs global average pooling and at most one linear layer behind '{layer.name}', "
            "which this network does not have; use hires-cam or grad-cam, which work with any network"
        )
    return layer
