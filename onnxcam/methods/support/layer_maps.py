"""Maps of several layers, brought together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxcam.arrays import Array, relu, upsample
from onnxcam.errors import InputError
from onnxcam.methods.base import Method
from onnxcam.methods.view import NetworkView


def check_one_layer(inner: Method, around: Method) -> None:
    """Raise InputError unless ``inner`` explains at one layer of any network, and ``around`` names some."""
    why = None
    needs = inner.needs
    if needs.at != "layer" or needs.reads == "attentions":
        why = "explains at no layer"
    elif needs.layers or needs.ends_at is not None:
        why = "combines layers itself"
    elif needs.head != "any":
        why = "takes one layer only"
    if why is not None:
        raise InputError(f"{around.name} cannot take {inner.name}, which {why}")
    if not around.needs.layers:
        raise InputError(f"field layers of {around.name} is empty; name layers, such as -1,-2,-3")


def maps_of_layers(inner: Method, view: NetworkView) -> list[Array]:
    """Return the positive part of the map at each layer, ``[N, *spatial]``."""
    return [relu(np.asarray(inner.explain(one))) for one in view.layers()]


def at_one_size(maps: Sequence[Array]) -> list[Array]:
    """Return maps at the size of the largest."""
    size = np.max([one.shape[1:] for one in maps], axis=0)
    return [upsample(one, [int(length) for length in size]) for one in maps]
