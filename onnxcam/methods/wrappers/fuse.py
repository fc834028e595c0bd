"""Several layers, one map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, divide_by_peak
from onnxcam.methods.needs import Needs
from onnxcam.methods.nested import Wrapper
from onnxcam.methods.support.layer_maps import at_one_size, check_one_layer, maps_of_layers
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class Fuse(Wrapper):
    """Maps of several layers as one: their mean, maximum or product.

    ``L = how_l U(M_l / max M_l)``, ``M_l`` the positive part of a layer's map, ``U`` bilinear to the size of the
    largest layer. Shallow layers become ``tanh(gamma M_l / max M_l)``.

    Source: Jiang et al. 2021, eq. 9 and what follows, for ``how=max,shallow=3``: shallow maps are weak, and tanh lifts
    them. The mean is that of pytorch-grad-cam, which subtracts each map's minimum as well.

    Attributes:
        method: explains at one layer.
        layers: names of layers, or indices into those that ``onnxcam inspect`` lists, deep ones first.
        how: ``mean``, ``max`` or ``product``.
        shallow: how many of the layers, from the end of the list, are lifted by tanh.
        gamma: of tanh.
    """

    name: ClassVar[str] = "fuse"
    paper: ClassVar[str] = "jiang2021"
    layers: tuple[str | int, ...] = (-1, -2, -3)
    how: Literal["mean", "max", "product"] = "mean"
    shallow: int = 0
    gamma: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a method that does not explain at one layer."""
        object.__setattr__(self, "layers", tuple(self.layers))
        super().__post_init__()
        check_one_layer(self.inner, self)

    @property
    def needs(self) -> Needs:
        """What the method inside needs, at each of the layers."""
        return replace(super().needs, layers=self.layers)

    @property
    def signed(self) -> bool:
        """Positive parts of maps are fused: the result is never negative."""
        return False

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]`` from 0 to 1, at the size of the largest layer."""
        maps = [divide_by_peak(one) for one in maps_of_layers(self.inner, view)]
        deep = len(maps) - self.shallow
        maps = at_one_size([one if i < deep else np.tanh(self.gamma * one) for i, one in enumerate(maps)])
        if self.how == "product":
            return prod(maps)
        return np.max(maps, axis=0) if self.how == "max" else np.mean(maps, axis=0)
