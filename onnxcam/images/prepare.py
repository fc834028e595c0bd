"""A photograph as the array that a model takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from onnxcam.errors import ImageError, InputError
from onnxcam.images.fit import fit, input_size
from onnxcam.images.frame import Frame
from onnxcam.images.preprocess import Preprocess
from onnxcam.images.spec import ImageInput


@dataclass(frozen=True, eq=False)
class Prepared:
    """One photograph, ready for the model.

    Attributes:
        array: ``[1, C, H, W]`` or ``[1, H, W, C]``, of the input's type.
        frame: where that array lies in the photograph.
    """

    array: npt.NDArray[Any]
    frame: Frame


def prepare(image: Image.Image, spec: ImageInput, preprocess: Preprocess) -> Prepared:
    """Turn a photograph into the array that a model's input takes.

    Args:
        image: upright RGB, as ``read_image`` returns it.
        spec: what the input takes. A side that it leaves open follows the photograph, which is then never cropped.
        preprocess: the numbers that the model was trained with. Integer inputs are rounded and clipped to their range.

    Raises:
        ImageError: the model takes another number of channels than the preprocessing makes.
        InputError: the numbers do not fit the input's type.
    """
    preprocess = _for_channels(preprocess, spec)
    size = input_size(image.size, spec.width, spec.height)
    resize = preprocess.resize if spec.width is not None and spec.height is not None else "stretch"
    fitted, frame = fit(image.convert("L" if preprocess.channels == "L" else "RGB"), size, resize, preprocess.fill)
    array = _cast(_normalise(fitted, preprocess), spec)
    return Prepared(array[None] if spec.layout == "NHWC" else array.transpose(2, 0, 1)[None].copy(), frame)


def _for_channels(preprocess: Preprocess, spec: ImageInput) -> Preprocess:
    """Return preprocessing for the input's channels: colour numbers, if equal for all channels, also suit grey ones."""
    made = len(preprocess.channels)
    if spec.channels is None or spec.channels == made:
        return preprocess
    problem = f"input {spec.name} takes {spec.channels} channel{'s' * (spec.channels != 1)}"
    if spec.channels == 1 and made == 3:
        if len({*preprocess.mean}) == len({*preprocess.std}) == 1:
            return replace(preprocess, channels="L", mean=preprocess.mean[:1], std=preprocess.std[:1])
        raise ImageError(f"{problem}, but mean and std differ by channel; choose preprocessing with channels L")
    if spec.channels == 3:
        raise ImageError(f"{problem}, but preprocessing makes 1 ({preprocess.channels}); choose RGB or BGR")
    raise ImageError(f"{problem}, and a photograph has 1 or 3; prepare the array yourself and pass that")


def _normalise(image: Image.Image, preprocess: Preprocess) -> npt.NDArray[np.float32]:
    """Return float32 ``[H, W, C]``."""
    pixels = np.asarray(image, dtype=np.float32)
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if preprocess.channels == "BGR":
        pixels = pixels[:, :, ::-1]
    mean, std = (np.asarray(values, dtype=np.float32) for values in (preprocess.mean, preprocess.std))
    return (pixels * np.float32(preprocess.scale) - mean) / std


def _cast(x: npt.NDArray[np.float32], spec: ImageInput) -> npt.NDArray[Any]:
    if spec.dtype.kind in "iu":
        limits = np.iinfo(spec.dtype)
        # float64, because float32 cannot hold the ends of the wider integer types.
        return np.clip(np.rint(x.astype(np.float64)), limits.min, limits.max).astype(spec.dtype)
    with np.errstate(over="ignore"):
        array = x.astype(spec.dtype)
    if not np.isfinite(array).all():
        raise InputError(
            f"preprocessing makes numbers that {spec.dtype} of input {spec.name} cannot hold; check its scale"
        )
    return array
