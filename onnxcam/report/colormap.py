"""The colour map: perceptually even steps from a dim violet to a light yellow.

Built in OKLab, whose distances follow perception. Lightness only ever rises, so that a map can be read in grey print
and with any colour vision; the hue turns from violet through red to yellow, away from the greens and blues that
photographs are full of.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

# Position, lightness (0 to 1), chroma, and hue in degrees: chosen by eye on photographs, inside the sRGB gamut.
_ANCHORS = (
    (0.00, 0.30, 0.120, -78.0),
    (0.25, 0.46, 0.205, -46.0),
    (0.50, 0.61, 0.215, 8.0),
    (0.75, 0.75, 0.165, 52.0),
    (1.00, 0.92, 0.150, 98.0),
)
_STEPS = 256

# From OKLab to cube roots of cone responses, and from cone responses to linear sRGB (Ottosson 2020).
_TO_CONES = np.array(
    [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@cache
def table() -> npt.NDArray[np.uint8]:
    """Return the 256 colours from lowest to highest, uint8 ``[256, 3]`` in RGB; read-only."""
    position, lightness, chroma, hue = np.array(_ANCHORS).T
    angle, at = np.radians(hue), np.linspace(0, 1, _STEPS)
    # Linear in a and b, not in hue: that keeps chroma lower between the anchors, inside the gamut.
    columns = (lightness, chroma * np.cos(angle), chroma * np.sin(angle))
    lab = np.stack([np.interp(at, position, column) for column in columns], axis=1)
    linear = np.clip((lab @ _TO_CONES.T) ** 3 @ _TO_RGB.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    colours: npt.NDArray[np.uint8] = np.rint(encoded * 255).astype(np.uint8)
    colours.flags.writeable = False
    return colours


def colourise(map: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Return the colours of a map of values from 0 to 1, uint8 ``[..., 3]``; values outside are clipped, NaN is 0."""
    index = np.rint(np.clip(np.nan_to_num(map), 0, 1) * (_STEPS - 1)).astype(np.intp)
    colours: npt.NDArray[np.uint8] = table()[index]
    return colours
