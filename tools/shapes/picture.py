"""The pictures of README and manual: drawn samples, their true pixels, maps by four methods; a sample coarse to fine.

python -m tools.shapes.picture
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

import onnxcam
from onnxcam.report.sheet import caption, grid
from tools.shapes.draw import draw
from tools.shapes.samples import MODEL, SEEDS

METHODS = ("hires-cam", "grad-cam", "eigen-cam", "random-cam")
SIDE = 144
PICTURE = MODEL.parent / "maps.png"
FILM = MODEL.parent / "film.png"


def main() -> None:
    """Explain one sample of every class and one of them at every resolution, and write the pictures."""
    drawings = [draw(seed) for seed in list(SEEDS)[:6]]
    columns = [[_tile(drawing.image, drawing.name) for drawing in drawings]]
    columns.append([_tile(_dimmed(drawing.image, drawing.mask), "true pixels") for drawing in drawings])
    for method in METHODS:
        explainer = onnxcam.Explainer(MODEL, method)
        result = explainer.explain([explainer.read(drawing.image) for drawing in drawings])
        columns.append([_tile(result.overlay(i, captioned=False), method) for i in range(len(drawings))])
    # One row a kind of picture, one column a sample.
    sheet = grid([tile for column in columns for tile in column], columns=len(drawings), gap=6)
    _write(sheet, PICTURE)
    explainer = onnxcam.Explainer(MODEL, "fg-cam")
    _write(explainer.explain([explainer.read(drawings[0].image)], film=True).films[0], FILM)


def _write(picture: Image.Image, path: Path) -> None:
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def _dimmed(image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    return np.where(mask[..., None], image, image // 5)


def _tile(picture: Image.Image | npt.NDArray[np.uint8], text: str) -> Image.Image:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return caption(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS), text)


if __name__ == "__main__":
    main()
