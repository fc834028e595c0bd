"""A photograph together with the array that a model sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from onnxcam.images.frame import Frame
from onnxcam.images.prepare import prepare
from onnxcam.images.preprocess import Preprocess
from onnxcam.images.read import ImageSource, expand, read_image
from onnxcam.images.spec import ImageInput


@dataclass(frozen=True, eq=False)
class Photograph:
    """One photograph, ready to be explained.

    Attributes:
        name: where it came from.
        image: upright RGB.
        array: ``[1, C, H, W]`` or ``[1, H, W, C]``, of the input's type.
        frame: where that array lies in the photograph.
    """

    name: str
    image: Image.Image
    array: npt.NDArray[Any]
    frame: Frame


def read_photograph(source: ImageSource, spec: ImageInput, preprocess: Preprocess) -> Photograph:
    """Read a photograph and prepare it for a model.

    Raises:
        ImageError: it cannot be read, or the model takes no such image.
    """
    image = read_image(source)
    prepared = prepare(image, spec, preprocess)
    name = str(source) if isinstance(source, (str, Path)) else "image"
    return Photograph(name, image, prepared.array, prepared.frame)


def list_sources(images: ImageSource | Sequence[ImageSource]) -> list[ImageSource]:
    """Return the single images meant by one or several paths, folders, patterns, Pillow images or arrays.

    Raises:
        ImageError: a path matches nothing.
    """
    several: Sequence[Any] = images if isinstance(images, (list, tuple)) else [images]
    found: list[ImageSource] = []
    for entry in several:
        if isinstance(entry, (str, Path)):
            found.extend(expand([entry]))
        elif isinstance(entry, np.ndarray) and entry.ndim == 4:
            found.extend(entry)
        else:
            found.append(entry)
    return found
