"""Find the layer that gives maps of a chosen size: where a method explains, or where it ends."""

from __future__ import annotations

from typing import TypeAlias

from onnxcam.errors import InputError, NameNotFoundError, UnsupportedError
from onnxcam.graph.analysis.inputs import image_input
from onnxcam.graph.analysis.layers import Layer, candidates, find_layer
from onnxcam.methods.base import Method
from onnxcam.methods.support.propagating import INPUT, propagating_method, with_end
from onnxcam.network.network import Network

Size: TypeAlias = tuple[int, ...]


def resolutions(method: Method, network: Network, layer: str | int | None = None) -> dict[Size, str]:
    """Return the sizes of maps that a method can make of a network, coarse to fine, each with its layer or the input.

    Of several layers of one size it is the last. A method that propagates makes no map coarser than the layer where it
    starts.

    Args:
        method: one that explains at a layer, or propagates to where it ends.
        network: the network.
        layer: where a method that propagates starts; the default if not given.

    Raises:
        NameNotFoundError: there is no such layer.
        UnsupportedError: the method makes maps of one size only.
    """
    graph, score = network.model.graph, network.score.name
    found = {_known(one): one.name for one in candidates(graph, score)}
    if (inner := propagating_method(method)) is not None:
        if inner.needs.at == "layer":
            first = find_layer(graph, score, layer)
            found = {size: name for size, name in found.items() if sum(size) > sum(_known(first))}
            found[_known(first)] = first.name
        entry = image_input(graph)
        found[_known(Layer(entry.value, "", "", entry.shape, entry.axes))] = INPUT
    elif method.needs.at == "input":
        raise UnsupportedError(
            f"{method.name} makes maps of the input's size only; use a method of layers, or fg-cam or lrp"
        )
    return {size: found[size] for size in sorted(filter(None, found), key=lambda size: (sum(size), size))}


def at_resolution(
    method: Method, network: Network, wanted: int | Size, layer: str | int | None = None
) -> tuple[Method, str | int | None]:
    """Return the method, and the layer to explain at, that make maps of a size.

    Args:
        method: one that explains at a layer, or propagates to where it ends.
        network: the network.
        wanted: positions along each axis, or one number for all axes alike.
        layer: where a method that propagates starts: the size chooses its end.

    Raises:
        NameNotFoundError: no layer has that size; the message lists those that there are.
        InputError: a method that explains at a layer was given both, or one that propagates has its end already.
        UnsupportedError: the method makes maps of one size only.
    """
    offered = resolutions(method, network, layer)
    if not propagates(method) and layer is not None:
        raise InputError("a layer and a resolution both choose the layer; give one of them")
    if (inner := propagating_method(method)) is not None and inner.to != INPUT:
        raise InputError(f"to={inner.to} and a resolution both choose where {inner.name} ends; give one of them")
    axes = len(next(iter(offered), (0, 0)))
    size = (wanted,) * axes if isinstance(wanted, int) else tuple(wanted)
    if size not in offered:
        listed = ", ".join(map(size_text, offered))
        hint = f"there are {listed}" if listed else "the file leaves sizes open, so choose by layer"
        raise NameNotFoundError(f"{method.name} makes no map of {size_text(size)} of this network; {hint}")
    return (with_end(method, offered[size]), layer) if propagates(method) else (method, offered[size])


def propagates(method: Method) -> bool:
    """Whether a method, or one inside it, propagates from a layer to an earlier one that can be chosen."""
    return propagating_method(method) is not None


def size_text(size: Size) -> str:
    """Return a size as it is written: rows, an x, columns."""
    return "x".join(map(str, size))


def _known(layer: Layer) -> Size:
    """Return a layer's extent, or nothing where the file leaves some of it open."""
    sizes = tuple(size for size in layer.extent if isinstance(size, int))
    return sizes if len(sizes) == len(layer.extent) else ()
