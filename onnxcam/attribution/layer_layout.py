"""Convert a layer's value from its own layout to the one of formulas (channels first, spatial axes), and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.graph.analysis.axes import channels_first, spatial_axes
from onnxcam.graph.analysis.layers import Layer
from onnxcam.graph.analysis.tokens import to_grid, token_grid

Tensor: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class LayerLayout:
    """The layout of one layer's value, for images of one size.

    Attributes:
        layer: says which axis is which; of a transformer also which tokens are none of the image's patches.
        grid: rows and columns of a transformer's tokens, where the user gives them.
        extent: height and width of the images, from which the grid is inferred otherwise.
    """

    layer: Layer
    grid: tuple[int, int] | None
    extent: tuple[int, ...]

    @property
    def has_tokens(self) -> bool:
        """Whether the layer has an axis of tokens in place of spatial axes."""
        return "T" in self.layer.axes

    def arrangement(self, value: Tensor) -> tuple[tuple[int, ...], int, int]:
        """Return the grid of the tokens of a value, and how many extra tokens come before and after them."""
        layer = self.layer
        count = value.shape[spatial_axes(layer.axes)[0]]
        return token_grid(count, layer.grid, layer.before, layer.after, self.grid, self.extent)

    def to_positions(self, value: Tensor) -> Tensor:
        """Return a value of the layer as ``[N, C, *spatial]``; extra tokens are dropped."""
        value = value.transpose(channels_first(self.layer.axes))
        return self.tokens_to_positions(value) if self.has_tokens else value

    def tokens_to_positions(self, tokens: Tensor) -> Tensor:
        """Return tokens ``[N, C, T]`` as ``[N, C, rows, columns]``."""
        layer = self.layer
        return to_grid(tokens, layer.grid, layer.before, layer.after, self.grid, self.extent)

    def from_positions(self, v: Tensor, like: Tensor) -> Tensor:
        """Return ``[N, C, *spatial]`` in the layer's own layout, float32; 0 at extra tokens.

        Args:
            v: the array.
            like: a value of the layer, which has all tokens.
        """
        if self.has_tokens:
            _, before, after = self.arrangement(like)
            v = np.pad(v.reshape(*v.shape[:2], -1), ((0, 0), (0, 0), (before, after)))
        return self._own_axes(v).astype(np.float32)

    def factors(self, keep: Tensor, like: Tensor) -> Tensor:
        """Return factors ``[M, C or 1, *spatial or 1s]`` in the layer's own layout; 1 at extra tokens.

        Args:
            keep: the factors.
            like: a value of the layer, which has all tokens.
        """
        if self.has_tokens:
            shape, before, after = self.arrangement(like)
            if keep.shape[2:] == (1,) * (keep.ndim - 2):
                keep = np.broadcast_to(keep, (*keep.shape[:2], *shape))
            ends = [np.ones((*keep.shape[:2], extra), np.float32) for extra in (before, after)]
            keep = np.concatenate([ends[0], keep.reshape(*keep.shape[:2], -1), ends[1]], axis=2)
        return self._own_axes(keep)

    def _own_axes(self, array: Tensor) -> Tensor:
        return np.ascontiguousarray(array.transpose(np.argsort(channels_first(self.layer.axes))))
