"""Draw the explanations of one image from coarse to fine, in one strip (a film)."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from onnxcam.attribution.resolution import size_text
from onnxcam.explanation import Explanation
from onnxcam.report.names import method_title
from onnxcam.report.sheet import caption, grid

# The longer side of each map in pixels: small enough for seven of them on a screen.
_SIDE = 256


def strip(steps: Sequence[Explanation]) -> Image.Image:
    """Return the overlays of one image's explanations side by side, each with the size of its map below.

    Args:
        steps: explanations of one image by one method, coarse to fine.
    """
    frames = [caption(_small(one.overlay(captioned=False)), size_text(one.raw.shape[1:])) for one in steps]
    target = steps[0].explained[0]
    return caption(grid(frames, columns=len(frames)), target.label.split(",")[0], method_title(steps[0].method))


def _small(picture: Image.Image) -> Image.Image:
    scale = _SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)
