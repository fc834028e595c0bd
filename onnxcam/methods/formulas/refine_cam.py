"""RefineCAM."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from onnxcam.arrays import Array
from onnxcam.methods.base import Method
from onnxcam.methods.nested import BasedMethod
from onnxcam.methods.support.layer_maps import LayerCombination, at_largest_size, positive_maps
from onnxcam.methods.support.masks import scale_to_unit
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class RefineCAM(LayerCombination, BasedMethod):
    """Product of the maps of several layers: positions on which all of them agree.

    ``L = prod_l U(M_l)``, ``M_l`` the positive part of a layer's map, scaled to minimum 0 and maximum 1, ``U`` bilinear
    enlargement to the size of the largest layer.

    Source: ``RefineCAM`` of pytorch-grad-cam (arXiv 2605.14641).

    Differences: there every map is enlarged to the input before the product; here, as in torch-cam, to the largest of
    the layers, and the product is enlarged for display.

    Attributes:
        base: the method whose maps are multiplied: its name, or the method itself.
        layers: names of layers, or indices into those that ``onnxcam inspect`` lists.
    """

    name: ClassVar[str] = "refine-cam"
    paper: ClassVar[str] = "gildenblat2021"
    base: str | Method = "grad-cam++"
    layers: tuple[str | int, ...] = (-1, -2, -3)

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]`` from 0 to 1, at the size of the largest layer."""
        return prod(at_largest_size([scale_to_unit(one) for one in positive_maps(self.inner, view)]))
