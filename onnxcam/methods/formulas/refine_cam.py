"""RefineCAM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

from onnxcam.arrays import Array, divide_by_peak
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.nested import BasedMethod
from onnxcam.methods.support.layer_maps import at_one_size, check_one_layer, maps_of_layers
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class RefineCAM(BasedMethod):
    """Places that several layers agree on: the product of their maps.

    ``L = prod_l U(M_l)``, ``M_l`` the positive part of a layer's map, scaled to minimum 0 and maximum 1.

    Source: ``RefineCAM`` of pytorch-grad-cam (arXiv 2605.14641). There every map is enlarged to the input before the
    product; here, as in torch-cam, to the largest of the layers, and the product is enlarged for display.

    Attributes:
        base: name of the method whose maps are multiplied, or the method itself.
        layers: names of layers, or indices into those that ``onnxcam inspect`` lists.
    """

    name: ClassVar[str] = "refine-cam"
    paper: ClassVar[str] = "gildenblat2021"
    base: str | Method = "grad-cam++"
    layers: tuple[str | int, ...] = (-1, -2, -3)

    def __post_init__(self) -> None:
        """Refuse a base that does not explain at one layer."""
        object.__setattr__(self, "layers", tuple(self.layers))
        super().__post_init__()
        check_one_layer(self.inner, self)

    @property
    def needs(self) -> Needs:
        """What the method inside needs, at each of the layers."""
        return replace(super().needs, layers=self.layers)

    @property
    def signed(self) -> bool:
        """A product of maps from 0 to 1 is never negative."""
        return False

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]`` from 0 to 1, at the size of the largest layer."""
        maps = maps_of_layers(self.inner, view)
        least = [one.min(axis=tuple(range(1, one.ndim)), keepdims=True) for one in maps]
        scaled = [divide_by_peak(one - low) for one, low in zip(maps, least, strict=True)]
        return prod(at_one_size(scaled))
