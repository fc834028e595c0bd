from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from onnxcam.errors import InputError
from onnxcam.images import Frame
from onnxcam.images.fit import Resize, fit, input_size

SIDES = st.integers(3, 80)
RESIZES = st.sampled_from(["stretch", "crop", "letterbox"])


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), RESIZES, st.data())
def test_a_bright_pixel_of_the_map_lands_where_its_pixel_came_from(
    photo: tuple[int, int], size: tuple[int, int], resize: Resize, data: st.DataObject
) -> None:
    """The centre of mass of what is placed is the photograph's point under that pixel, up to edges and rounding."""
    _, frame = fit(Image.new("L", photo), size, resize, 0)
    x, y = (data.draw(st.integers(0, side - 1)) for side in size)
    centre = frame.to_photo(x + 0.5, y + 0.5)
    left, top, right, bottom = frame.region
    if not (left <= centre[0] <= right and top <= centre[1] <= bottom):
        return  # padding
    map = np.zeros((size[1], size[0]), np.float32)
    map[y, x] = 1
    placed = frame.place(map)
    assert placed.shape == (photo[1], photo[0])
    if placed.sum() == 0:
        return  # finer than the photograph's own pixels, at the very edge of what was seen
    rows, columns = np.indices(placed.shape) + 0.5
    found = (placed * columns).sum() / placed.sum(), (placed * rows).sum() / placed.sum()
    for axis, span in enumerate((right - left, bottom - top)):
        box = frame.box[axis + 2] - frame.box[axis]
        assert abs(found[axis] - centre[axis]) <= max(1.0, box / size[axis]) + 0.5, (frame, span)


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), RESIZES)
def test_what_the_model_sees_comes_back_to_its_place(
    photo: tuple[int, int], size: tuple[int, int], resize: Resize
) -> None:
    """A ramp of the photograph, fitted and placed again, is the same ramp away from the edges."""
    across = Image.fromarray(np.tile(np.linspace(0, 255, photo[0], dtype=np.float32), (photo[1], 1)).astype(np.uint8))
    fitted, frame = fit(across, size, resize, 0)
    placed = frame.place(np.asarray(fitted), outside=np.nan)
    coarse = max(2, int(2 * (frame.box[2] - frame.box[0]) / size[0]) + 1)
    inner = slice(int(frame.region[0]) + coarse, max(0, int(frame.region[2]) - coarse))
    difference = np.abs(placed[:, inner] - np.asarray(across, np.float32)[:, inner])
    if resize != "letterbox":  # there the lower edge blends with the padding
        assert difference[np.isfinite(difference)].max(initial=0) <= 255 / photo[0] * 2 + 3


def test_an_exact_enlargement_equals_pillow() -> None:
    map = np.random.default_rng(0).random((7, 9)).astype(np.float32)
    for size in ((90, 70), (31, 17), (5, 4)):
        expected = np.asarray(Image.fromarray(map).resize(size, Image.Resampling.BILINEAR))
        np.testing.assert_allclose(Frame.whole(size, (9, 7)).place(map), expected, atol=1e-6)


def test_a_cropped_frame_places_by_hand() -> None:
    """The middle two of four pixels were seen, each enlarged to two: a tent of half width 2 weighs 3, 3, 1."""
    frame = Frame((4, 1), (4, 2), (1.0, 0.0, 3.0, 1.0))
    placed = frame.place(np.array([[1, 1, 3, 3]], np.float32), outside=np.nan)
    np.testing.assert_allclose(placed, [[np.nan, 9 / 7, 19 / 7, np.nan]], rtol=1e-6)
    assert frame.region == pytest.approx((1, 0, 3, 1))
    assert frame.to_photo(2, 1) == pytest.approx((2, 0.5))
    assert frame.to_input(2, 0.5) == pytest.approx((2, 1))


def test_letterbox_lies_top_left_and_its_padding_is_left_out() -> None:
    image, frame = fit(Image.new("L", (20, 10), 255), (8, 8), "letterbox", 114)
    assert np.asarray(image).tolist() == [[255] * 8] * 4 + [[114] * 8] * 4
    assert frame.box == pytest.approx((0, 0, 20, 20))
    assert frame.region == pytest.approx((0, 0, 20, 10))
    map = np.repeat([1.0, 0.0], 4)[:, None] * np.ones(8)
    assert frame.place(map.astype(np.float32))[:8].min() == 1


def test_crop_equals_resizing_then_cutting() -> None:
    photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 401, 3), dtype=np.uint8))
    fitted, frame = fit(photo, (224, 224), "crop", 0)
    scaled = photo.resize((256 * 401 // 300, 256), Image.Resampling.BILINEAR)
    left, top = round((scaled.width - 224) / 2), 16
    expected = np.asarray(scaled.crop((left, top, left + 224, top + 224)), np.int16)
    assert np.abs(np.asarray(fitted, np.int16) - expected).max() <= 1
    assert frame.box == pytest.approx((left * 401 / 342, 18.75, (left + 224) * 401 / 342, 281.25))


def test_crop_of_a_single_row_needs_no_gigabytes() -> None:
    fitted, _ = fit(Image.new("RGB", (100_000, 1)), (224, 224), "crop", 0)
    assert fitted.size == (224, 224)


@pytest.mark.parametrize(
    ("photo", "open_sides", "expected"),
    [
        ((500, 375), (224, 192), (224, 192)),
        ((500, 375), (None, None), (512, 384)),
        ((4000, 2000), (None, None), (1024, 512)),
        ((10, 10), (None, None), (32, 32)),
        ((400, 200), (None, 96), (192, 96)),
        ((400, 200), (96, None), (96, 64)),
        ((100_000, 1), (None, 224), (1024, 224)),
    ],
)
def test_open_sizes(
    photo: tuple[int, int], open_sides: tuple[int | None, int | None], expected: tuple[int, int]
) -> None:
    assert input_size(photo, *open_sides) == expected


def test_place_ignores_what_is_not_finite_and_refuses_other_shapes() -> None:
    frame = Frame.whole((2, 2), (2, 2))
    placed = frame.place(np.array([[np.nan, 1], [np.inf, 0]], np.float32))
    assert placed.tolist() == [[0, 1], [0, 0]]
    with pytest.raises(InputError, match=r"\[1, 2, 2\]"):
        frame.place(np.zeros((1, 2, 2), np.float32))
