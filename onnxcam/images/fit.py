"""Resize, crop or pad a photograph to the size that a model takes, and remember how."""

from __future__ import annotations

from typing import Literal, TypeAlias

from PIL import Image

from onnxcam.errors import ImageError
from onnxcam.images.frame import Frame

Resize: TypeAlias = Literal["stretch", "crop", "letterbox"]

# Sizes for inputs that leave theirs open: strides of common networks multiply to 32, and memory has an end.
STEP = 32
LONGEST = 1024
# A size written in a model file is as untrusted as the rest of it.
_MOST_PIXELS = 1 << 26


def input_size(photo: tuple[int, int], width: int | None, height: int | None) -> tuple[int, int]:
    """Return the width and height to feed: the model's own, and where it leaves one open, the photograph's.

    An open side keeps the photograph's proportions, is at most 1024 pixels long, and is rounded to a multiple of 32,
    because networks that halve the size five times otherwise disagree with their own skip connections.
    """
    across, down = photo
    if width is not None and height is not None:
        size = (width, height)
    elif width is not None:
        size = (width, _open(down * width / across))
    elif height is not None:
        size = (_open(across * height / down), height)
    else:
        shrink = min(1.0, LONGEST / max(photo))
        size = (_open(across * shrink), _open(down * shrink))
    if min(size) < 1 or size[0] * size[1] > _MOST_PIXELS:
        raise ImageError(
            f"the model asks for images of {size[0]}x{size[1]} pixels, which is empty or too large; check its input"
        )
    return size


def _open(length: float) -> int:
    return min(LONGEST, max(STEP, round(length / STEP) * STEP))


def fit(image: Image.Image, size: tuple[int, int], resize: Resize, fill: int) -> tuple[Image.Image, Frame]:
    """Resize an image (bilinear with antialiasing) and return it with its frame.

    ``stretch`` takes the whole image and gives up its proportions. ``crop`` keeps proportions and takes the middle: the
    image is scaled to cover 256/224 of the size, then cut, as ImageNet networks are evaluated. ``letterbox`` keeps
    proportions and takes the whole image: it lies in the top left corner, with ``fill`` to its right or below it, as
    YOLOX pads.
    """
    if resize == "crop":
        return _crop(image, size)
    if resize == "letterbox":
        return _letterbox(image, size, fill)
    return image.resize(size, Image.Resampling.BILINEAR), Frame.whole(image.size, size)


def _crop(image: Image.Image, size: tuple[int, int]) -> tuple[Image.Image, Frame]:
    (across, down), (width, height) = image.size, size
    cover = (round(width * 256 / 224), round(height * 256 / 224))
    if cover[0] * down >= cover[1] * across:
        scaled = (cover[0], down * cover[0] // across)
    else:
        scaled = (across * cover[1] // down, cover[1])
    left, top = round((scaled[0] - width) / 2), round((scaled[1] - height) / 2)
    x, y = across / scaled[0], down / scaled[1]
    box = (left * x, top * y, min((left + width) * x, across), min((top + height) * y, down))
    # Cut and scaled in one step: a photograph of one row would become gigabytes if it were scaled first.
    return image.resize(size, Image.Resampling.BILINEAR, box=box), Frame(image.size, size, box)


def _letterbox(image: Image.Image, size: tuple[int, int], fill: int) -> tuple[Image.Image, Frame]:
    (across, down), (width, height) = image.size, size
    if width * down <= height * across:
        inner = (width, max(1, down * width // across))
    else:
        inner = (max(1, across * height // down), height)
    canvas = Image.new(image.mode, size, (fill,) * len(image.getbands()))
    canvas.paste(image.resize(inner, Image.Resampling.BILINEAR), (0, 0))
    return canvas, Frame(image.size, size, (0.0, 0.0, width * across / inner[0], height * down / inner[1]))
