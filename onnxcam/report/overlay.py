"""A map over the photograph that it explains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from onnxcam.errors import InputError
from onnxcam.report.colormap import colourise

LONGEST = 1024
# Photographs of 32 pixels, as small networks take them, would be too small to see on a screen.
_SHORTEST = 256

# How much of the photograph's colour stays where the map is 0, so that the map's colours stand out,
# and how much of its light where the model did not see it.
_COLOUR_KEPT = 0.45
_UNSEEN_LIGHT = 0.5
# Below this the map is invisible; above, opacity rises smoothly: interpolated maps have long faint tails.
_FAINT = 0.04


def display_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the width and height to draw a photograph at: at most 1024 pixels long, small ones enlarged evenly."""
    longest = max(size)
    if longest > LONGEST:
        return max(1, round(size[0] * LONGEST / longest)), max(1, round(size[1] * LONGEST / longest))
    times = max(1, -(-_SHORTEST // longest))
    return size[0] * times, size[1] * times


def for_display(photo: Image.Image) -> Image.Image:
    """Return the photograph as RGB at its display size; enlarged pixels keep their edges."""
    size = display_size(photo.size)
    larger = size[0] > photo.width
    return photo.convert("RGB").resize(size, Image.Resampling.NEAREST if larger else Image.Resampling.LANCZOS)


def overlay(photo: Image.Image, map: npt.NDArray[np.floating], alpha: float = 0.72) -> Image.Image:
    """Colour a photograph by a map.

    Opacity grows with the map: at 0 the photograph stays, with its colours muted; at 1 the map's colour covers it to
    ``alpha``. Where the map is NaN, the model did not see the photograph: it is dimmed.

    Args:
        photo: any Pillow image.
        map: ``[H, W]`` of the photograph's size, values from 0 to 1 or NaN.
        alpha: the opacity of the highest values, from 0 to 1.

    Returns:
        RGB, of the photograph's size or 1024 pixels long if that is less.

    Raises:
        InputError: the map has another size than the photograph, or alpha is out of range.
    """
    if map.shape != (photo.height, photo.width):
        raise InputError(
            f"a map of shape {list(map.shape)} does not fit a photograph of {photo.width}x{photo.height}; "
            "map it onto the photograph with Frame.place"
        )
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must lie between 0 and 1, not {alpha}")
    photo = photo.convert("RGB")
    if max(photo.size) > LONGEST:
        size = display_size(photo.size)
        photo = photo.resize(size, Image.Resampling.LANCZOS)
        map = _shrink(map, size)
    return Image.fromarray(_blend(np.asarray(photo, dtype=np.float32), map.astype(np.float32), alpha))


def _shrink(map: npt.NDArray[np.floating], size: tuple[int, int]) -> npt.NDArray[np.floating]:
    """Return the map at a smaller size; values and the seen region are resized separately: NaN must not spread."""
    seen = np.isfinite(map)
    values, share = (
        np.asarray(Image.fromarray(part.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
        for part in (np.where(seen, map, 0), seen)
    )
    return np.where(share > 0.5, values / np.maximum(share, 0.5), np.nan)


def _blend(photo: npt.NDArray[np.float32], map: npt.NDArray[np.float32], alpha: float) -> npt.NDArray[np.uint8]:
    """Return the photograph, muted, under the map's colours, which are the more opaque the higher the map."""
    unseen = np.isnan(map)
    strength = np.clip(np.nan_to_num(map), 0, 1)
    opacity = alpha * _ease((strength - _FAINT) / (1 - _FAINT))[..., None]
    grey = photo @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    muted = grey[..., None] + _COLOUR_KEPT * (photo - grey[..., None])
    muted[unseen] *= _UNSEEN_LIGHT
    # The colour is not opaque, so that what the map points at can be recognised.
    blended: npt.NDArray[np.uint8] = np.rint(muted + opacity * (colourise(strength) - muted)).astype(np.uint8)
    return blended


def _ease(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return values that rise from 0 to 1, fast at first."""
    rising: npt.NDArray[np.float32] = np.clip(x, 0, 1) ** np.float32(0.7)
    return rising
