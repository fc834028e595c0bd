"""The picture of one map, whatever its number of axes, with its photograph where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from onnxcam.images import Frame
from onnxcam.report.colormap import colourise
from onnxcam.report.overlay import display_size, for_display, overlay

# A signal is drawn this many times wider than high.
_STRIP = 8
# Maps of so many positions are drawn full from this quantile on, unless it is next to nothing.
_MANY = 28 * 28
_BRIGHT = 0.99
_DARK = 0.05


def picture(
    map: npt.NDArray[Any], positions: int, photo: Image.Image | None = None, frame: Frame | None = None
) -> Image.Image:
    """Return the map over its photograph; without one, or if the map has not two axes, the map alone in its colours.

    Args:
        map: values from 0 to 1 of one, two or three axes.
        positions: how many values the raw map has.
        photo: the upright photograph.
        frame: where the map lies in it. Default: it covers all of it.
    """
    plane = _in_a_plane(map)
    size = (plane.shape[1], plane.shape[0])
    if positions >= _MANY:
        # Of so many positions a few outliers would leave all others too dark to see.
        plane = np.clip(plane / max(float(np.quantile(plane, _BRIGHT)), _DARK), 0, 1)
    if photo is None or map.ndim != 2:
        return Image.fromarray(colourise(plane)).resize(display_size(size), Image.Resampling.BILINEAR)
    frame = frame or Frame.whole(photo.size, size)
    shown = for_display(photo)
    return overlay(shown, frame.place(plane, shown.size, outside=np.nan))


def _in_a_plane(map: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a map to draw: a signal's as a strip, the middle slice of a volume's."""
    if map.ndim == 1:
        return np.tile(map, (max(len(map) // _STRIP, 1), 1))
    return map[len(map) // 2] if map.ndim == 3 else map
