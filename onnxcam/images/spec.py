"""What a model's image input takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

Layout: TypeAlias = Literal["NCHW", "NHWC"]


@dataclass(frozen=True)
class ImageInput:
    """One image input of a model; ``None`` stands for a size that the model leaves open.

    Attributes:
        name: the input's name in the graph.
        height: rows, in pixels.
        width: columns, in pixels.
        channels: 1 for grey, 3 for colour; anything else cannot be filled from a photograph.
        layout: whether channels come before or after the spatial axes.
        dtype: the type of the array that the model takes.
    """

    name: str
    height: int | None
    width: int | None
    channels: int | None
    layout: Layout
    dtype: np.dtype[Any]
