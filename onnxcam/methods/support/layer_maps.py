"""Maps of several layers: base of the methods that combine them, and bringing them to one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from onnxcam.arrays import Array, relu, upsample
from onnxcam.errors import InputError
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.nested import NestedMethod
from onnxcam.methods.view import NetworkView


class LayerCombination(NestedMethod):
    """A method that combines the maps of another method at several layers, its field ``layers``."""

    layers: tuple[str | int, ...]

    def __post_init__(self) -> None:
        """Refuse a method that does not explain at one layer of any network, and an empty list of layers."""
        object.__setattr__(self, "layers", tuple(self.layers))
        super().__post_init__()
        needs = self.inner.needs
        self.refuse(needs.at != "layer" or needs.reads == "attentions", "does not explain at a layer")
        self.refuse(bool(needs.layers) or needs.ends_at is not None, "combines layers itself")
        self.refuse(needs.head != "any", "applies to one layer only")
        if not self.layers:
            raise InputError(f"field layers of {self.name} is empty; name layers, such as -1,-2,-3")

    @property
    def needs(self) -> Needs:
        """What the method inside needs, at each of the layers."""
        return replace(super().needs, layers=self.layers)

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: it cannot, since positive parts of maps are combined."""
        return False

    def judged(self, view: NetworkView) -> list[Array]:
        """Return those of the method inside at every layer: one layer whose map is nothing spoils the combination."""
        return [sums for one in view.layers() for sums in self.inner.judged(one)]


def positive_maps(inner: Method, view: NetworkView) -> list[Array]:
    """Return the positive part of the map at each layer of a view, ``[N, *spatial]``."""
    return [relu(np.asarray(inner.explain(one))) for one in view.layers()]


def at_largest_size(maps: Sequence[Array]) -> list[Array]:
    """Return maps ``[N, *spatial]`` enlarged to the largest length of each axis among them (bilinear)."""
    size = np.max([one.shape[1:] for one in maps], axis=0)
    return [upsample(one, [int(length) for length in size]) for one in maps]
