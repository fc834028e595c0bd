"""Test-time augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxcam.arrays import Array
from onnxcam.errors import InputError
from onnxcam.methods.nested import Wrapper
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class Augment(Wrapper):
    """Mean map of the image, its mirror image, and darker and brighter versions of both.

    ``L = mean_{f, c} f(base(c f(x)))``, ``f`` the identity and the horizontal flip, ``c`` the factors.

    Source: ``aug_smooth`` of pytorch-grad-cam.

    Differences: there each map is scaled to [0, 1] before the mean; here raw maps are averaged, so that the result
    keeps its sign and its unit. ``x`` is the image as the network receives it.

    Attributes:
        method: the method whose maps are averaged.
        flip: also use the mirror images, flipped along the last axis.
        factors: by which the image is multiplied.
    """

    name: ClassVar[str] = "augment"
    paper: ClassVar[str] = "gildenblat2021"
    flip: bool = True
    factors: tuple[float, ...] = (0.9, 1.0, 1.1)

    def __post_init__(self) -> None:
        """Refuse an empty list of factors."""
        object.__setattr__(self, "factors", tuple(self.factors))
        super().__post_init__()
        if not self.factors:
            raise InputError("field factors of augment is empty; 1.0 stands for the unchanged image")

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, as the wrapped method."""
        ways = [(way, factor) for way in ((1, -1) if self.flip else (1,)) for factor in self.factors]
        maps = []
        for step in view.steps(len(ways)):
            way, factor = ways[step]
            x = np.ascontiguousarray(view.x[..., ::way] * np.asarray(factor, view.x.dtype))
            maps.append(self.inner.explain(view.with_images(x))[..., ::way])
        return sum(maps) / len(maps)
