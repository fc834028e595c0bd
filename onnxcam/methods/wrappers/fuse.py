"""One map of several layers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, divide_by_peak
from onnxcam.methods.nested import Wrapper
from onnxcam.methods.support.layer_maps import LayerCombination, at_largest_size, positive_maps
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class Fuse(LayerCombination, Wrapper):
    """Mean, maximum or product of the maps of several layers.

    ``L = how_l U(M_l / max M_l)``, ``M_l`` the positive part of a layer's map, ``U`` bilinear enlargement to the size
    of the largest layer. Maps of early layers become ``tanh(gamma M_l / max M_l)``.

    Source: Jiang et al. 2021, eq. 9 and the text after it, for ``how=max,shallow=3``: maps of early layers are weak,
    and tanh raises them.

    Differences: the mean is that of pytorch-grad-cam, which subtracts each map's minimum as well, as torch-cam does in
    its fusion.

    Attributes:
        method: a method that explains at one layer.
        layers: names of layers, or indices into those that ``onnxcam inspect`` lists, later layers first.
        how: ``mean``, ``max`` or ``product``.
        shallow: how many of the layers, from the end of the list, count as early and are raised by tanh.
        gamma: factor inside tanh.
    """

    name: ClassVar[str] = "fuse"
    paper: ClassVar[str] = "jiang2021"
    layers: tuple[str | int, ...] = (-1, -2, -3)
    how: Literal["mean", "max", "product"] = "mean"
    shallow: int = 0
    gamma: float = 2.0

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]`` from 0 to 1, at the size of the largest layer."""
        maps = [divide_by_peak(one) for one in positive_maps(self.inner, view)]
        later = len(maps) - self.shallow
        maps = at_largest_size([one if i < later else np.tanh(self.gamma * one) for i, one in enumerate(maps)])
        if self.how == "product":
            return prod(maps)
        return np.max(maps, axis=0) if self.how == "max" else np.mean(maps, axis=0)
