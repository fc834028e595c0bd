from __future__ import annotations

import numpy as np

from onnxcam.report.colormap import colourise, table


def luminance(colours: np.ndarray) -> np.ndarray:
    linear = np.where(colours / 255 <= 0.04045, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ [0.2126, 0.7152, 0.0722])


def test_lightness_only_rises() -> None:
    lightness = 116 * np.cbrt(luminance(table())) - 16
    assert (np.diff(lightness) > 0).mean() > 0.97  # eight bits leave a few steps equal
    assert np.diff(lightness).min() > -0.2
    assert lightness[0] < 25
    assert lightness[-1] > 85


def test_colours_change_in_even_steps() -> None:
    steps = np.abs(np.diff(table().astype(int), axis=0)).sum(axis=1)
    assert steps.max() <= 6
    assert len(np.unique(table(), axis=0)) == 256


def test_values_outside_are_clipped() -> None:
    colours = colourise(np.array([-1, 0, np.nan, 1, 2]))
    np.testing.assert_array_equal(colours, table()[[0, 0, 0, 255, 255]])
