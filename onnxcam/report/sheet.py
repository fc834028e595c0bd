"""Captions under pictures, and sheets of several pictures."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from onnxcam.errors import InputError

_PAPER = (255, 255, 255)
_INK = (24, 24, 30)
_FADED = (110, 110, 122)


def caption(image: Image.Image, text: str, detail: str = "") -> Image.Image:
    """Return the image with a strip of text under it: the text on the left, a detail such as a score on the right.

    Text that is too long for the width ends in an ellipsis.
    """
    size = max(11, min(22, image.width // 22))
    font = ImageFont.load_default(size)
    margin, strip = size // 2 + 2, size * 2
    sheet = Image.new("RGB", (image.width, image.height + strip), _PAPER)
    sheet.paste(image, (0, 0))
    draw = ImageDraw.Draw(sheet)
    middle = image.height + strip // 2
    room = image.width - 2 * margin
    detail = _shorten(detail, font, room / 2)
    draw.text((image.width - margin, middle), detail, fill=_FADED, font=font, anchor="rm")
    left = room - (font.getlength(detail) + size if detail else 0)
    draw.text((margin, middle), _shorten(text, font, left), fill=_INK, font=font, anchor="lm")
    return sheet


def _shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> str:
    text = " ".join(text.split())
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1].rstrip(" ,")
    return text + "…" if text else ""


def grid(images: Sequence[Image.Image], columns: int = 4, gap: int = 12) -> Image.Image:
    """Return one sheet with the images in rows from the top left, each centred in a cell as large as the largest."""
    if not images or columns < 1:
        raise InputError(f"a sheet needs at least one image and one column, not {len(images)} and {columns}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    width, height = max(image.width for image in images), max(image.height for image in images)
    sheet = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + gap) + gap), _PAPER)
    for position, image in enumerate(images):
        row, column = divmod(position, columns)
        left = gap + column * (width + gap) + (width - image.width) // 2
        top = gap + row * (height + gap) + (height - image.height) // 2
        sheet.paste(image, (left, top))
    return sheet
