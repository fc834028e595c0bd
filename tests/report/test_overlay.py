from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from onnxcam.errors import InputError
from onnxcam.report.colormap import colourise
from onnxcam.report.overlay import display_size, for_display, overlay
from onnxcam.report.sheet import caption, grid

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))


def test_zero_keeps_the_light_of_the_photograph() -> None:
    made = overlay(PHOTO, np.zeros((40, 60), np.float32))
    light = [np.asarray(image.convert("L"), np.int16) for image in (made, PHOTO)]
    assert np.abs(light[0] - light[1]).max() <= 1


def test_one_is_the_colour_as_far_as_alpha_goes() -> None:
    colour = colourise(np.array(1.0))
    ones = np.ones((40, 60), np.float32)
    assert (np.asarray(overlay(PHOTO, ones, alpha=1)) == colour).all()
    half = np.asarray(overlay(Image.new("RGB", (60, 40), "white"), ones, alpha=0.5), np.int16)
    assert np.abs(half - (colour / 2 + 127.5)).max() <= 1


def test_alpha_zero_draws_no_map() -> None:
    map = np.random.default_rng(1).random((40, 60))
    np.testing.assert_array_equal(overlay(PHOTO, map, alpha=0), overlay(PHOTO, map * 0, alpha=0))


def test_more_map_is_more_colour() -> None:
    black = Image.new("RGB", (256, 1))
    made = np.asarray(overlay(black, np.linspace(0, 1, 256)[None]).convert("L"), np.int16)[0]
    assert made[0] == 0
    assert np.diff(made).min() >= -1


def test_unseen_parts_are_dimmed_and_nothing_spreads() -> None:
    map = np.zeros((40, 60))
    map[:, :30] = np.nan
    made, seen = (np.asarray(overlay(PHOTO, part)).astype(float) for part in (map, np.zeros_like(map)))
    assert made[:, :30].mean() < 0.6 * seen[:, :30].mean()
    np.testing.assert_array_equal(made[:, 30:], seen[:, 30:])


def test_large_photographs_are_made_smaller_with_their_map() -> None:
    map = np.zeros((1000, 3000), np.float32)
    map[:, :1500] = np.nan
    map[:, 2000:] = 1
    made = overlay(Image.new("L", (3000, 1000), 200), map, alpha=1)
    assert made.size == (1024, 341)
    pixels = np.asarray(made)
    assert (pixels[:, 700:] == colourise(np.array(1.0))).all()
    assert (pixels[:, :510] == 100).all()
    assert (pixels[:, 515:675] == 200).all()


@pytest.mark.parametrize(
    ("size", "shown"),
    [((32, 32), (256, 256)), ((300, 200), (300, 200)), ((4096, 10), (1024, 2)), ((5000, 1), (1024, 1))],
)
def test_display_size(size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert display_size(size) == shown
    assert for_display(Image.new("L", size)).size == shown


def test_small_photographs_keep_their_pixels() -> None:
    shown = np.asarray(for_display(Image.fromarray(np.array([[[9, 9, 9], [200, 200, 200]]], np.uint8))))
    assert np.unique(shown).tolist() == [9, 200]


def test_maps_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[60, 40\] does not fit a photograph of 60x40"):
        overlay(PHOTO, np.zeros((60, 40)))
    with pytest.raises(InputError, match="alpha"):
        overlay(PHOTO, np.zeros((40, 60)), alpha=2)


@pytest.mark.parametrize("text", ["", "tabby", "a very long name of a class that does not fit at all", "\u732b\n"])
@pytest.mark.parametrize("width", [5, 60, 1024])
def test_captions_leave_the_picture_alone(text: str, width: int) -> None:
    image = PHOTO.resize((width, 40))
    made = caption(image, text, "97 %")
    assert made.width == width
    assert made.height > 40
    np.testing.assert_array_equal(np.asarray(made)[:40], np.asarray(image))


def test_caption_writes_left_and_right() -> None:
    strip = np.asarray(caption(Image.new("RGB", (600, 10)), "tabby", "97 %").convert("L"))[10:]
    ink = np.flatnonzero((strip < 200).any(axis=0))
    assert ink.min() < 40
    assert ink.max() > 560
    assert not ((ink > 150) & (ink < 450)).any()


def test_grid_places_row_by_row() -> None:
    colours = ["red", "lime", "blue"]
    sheet = grid([Image.new("RGB", (10, 6), colour) for colour in colours], columns=2, gap=2)
    assert sheet.size == (26, 18)
    centres = [(7, 5), (19, 5), (7, 13), (19, 13)]
    assert [sheet.getpixel(centre) for centre in centres] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 255),
    ]
    with pytest.raises(InputError, match="at least one image"):
        grid([])
