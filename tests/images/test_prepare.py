from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from onnxcam.errors import ImageError, InputError
from onnxcam.images import PRESETS, ImageInput, Preprocess, prepare
from onnxcam.images.preprocess import Channels
from onnxcam.images.spec import Layout

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
PHOTO = Image.fromarray(PIXELS)


def spec(
    channels: int | None = 3,
    dtype: str = "float32",
    layout: Layout = "NHWC",
    height: int | None = 6,
    width: int | None = 5,
) -> ImageInput:
    return ImageInput("x", height, width, channels, layout, np.dtype(dtype))


@given(
    st.sampled_from(["RGB", "BGR"]),
    st.floats(0.001, 2),
    st.lists(st.floats(-200, 200), min_size=3, max_size=3),
    st.lists(st.floats(0.1, 200), min_size=3, max_size=3),
    st.sampled_from(["NCHW", "NHWC"]),
)
def test_numbers(channels: Channels, scale: float, mean: list[float], std: list[float], layout: Layout) -> None:
    made = prepare(PHOTO, spec(layout=layout), Preprocess(channels, scale, tuple(mean), tuple(std))).array
    assert made.dtype == np.float32
    expected = np.empty((1, 6, 5, 3))
    for channel, source in enumerate("RGB".index(letter) for letter in channels):
        expected[0, :, :, channel] = (PIXELS[:, :, source] * scale - mean[channel]) / std[channel]
    if layout == "NCHW":
        expected = expected.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-3)
    assert made.flags.c_contiguous


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("unit", 0, 1), ("minus-one-to-one", -1, 1), ("none", 0, 255)],
)
def test_ranges_of_presets(name: str, low: float, high: float) -> None:
    ends = Image.fromarray(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8))
    made = prepare(ends, spec(height=1, width=2), PRESETS[name]).array
    np.testing.assert_allclose(made[0, 0, :, 0], [low, high], atol=1e-6)


def test_caffe_takes_blue_first() -> None:
    blue = Image.new("RGB", (5, 6), (0, 0, 255))
    made = prepare(blue, spec(), PRESETS["caffe-bgr"]).array
    np.testing.assert_allclose(made[0, 0, 0], [255 - 103.939, -116.779, -123.68], rtol=1e-6)


@pytest.mark.parametrize(("dtype", "mean", "low", "high"), [("int8", 128, -128, 127), ("uint8", 0, 0, 255)])
def test_integers_hold_every_pixel(dtype: str, mean: float, low: int, high: int) -> None:
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    made = prepare(ramp, spec(1, dtype, height=1, width=256), Preprocess("L", 1.0, (mean,))).array
    assert made.dtype == dtype
    assert made.ravel().tolist() == list(range(low, high + 1))


def test_integers_are_rounded_and_clipped() -> None:
    three = Image.fromarray(np.array([[0, 100, 255]], np.uint8))
    made = prepare(three, spec(1, "uint8", height=1, width=3), Preprocess("L", 2.0, (0.4,))).array
    assert made.ravel().tolist() == [0, 200, 255]


def test_float16() -> None:
    made = prepare(PHOTO, spec(dtype="float16"), PRESETS["imagenet"]).array
    expected = prepare(PHOTO, spec(), PRESETS["imagenet"]).array
    assert made.dtype == np.float16
    np.testing.assert_allclose(made, expected, rtol=1e-3, atol=1e-3)
    with pytest.raises(InputError, match="float16 of input x cannot hold"):
        prepare(PHOTO, spec(dtype="float16"), Preprocess(scale=1000.0))


def test_grey_models_take_uniform_colour_numbers() -> None:
    made = prepare(PHOTO, spec(1), PRESETS["unit"]).array
    np.testing.assert_allclose(made[0, :, :, 0], np.asarray(PHOTO.convert("L")) / 255, rtol=1e-6)
    same = Preprocess("RGB", 1 / 255, (0.5,) * 3, (0.5,) * 3)
    assert prepare(PHOTO, spec(1), same).array.shape == (1, 6, 5, 1)
    with pytest.raises(ImageError, match="takes 1 channel, but mean and std differ"):
        prepare(PHOTO, spec(1), PRESETS["imagenet"])


def test_other_channel_counts_are_refused() -> None:
    with pytest.raises(ImageError, match="takes 4 channels, and a photograph has 1 or 3"):
        prepare(PHOTO, spec(4), PRESETS["unit"])
    with pytest.raises(ImageError, match=r"takes 3 channels, but preprocessing makes 1 \(L\)"):
        prepare(PHOTO, spec(3), Preprocess("L"))
    assert prepare(PHOTO, spec(None), Preprocess("L")).array.shape[-1] == 1


def test_open_sizes_follow_the_photograph_uncropped() -> None:
    photo = Image.new("RGB", (500, 375))
    made = prepare(photo, spec(layout="NCHW", height=None, width=None), Preprocess(resize="crop"))
    assert made.array.shape == (1, 3, 384, 512)
    assert made.frame.box == (0, 0, 500, 375)


def test_absurd_sizes_are_refused() -> None:
    with pytest.raises(ImageError, match="empty or too large"):
        prepare(PHOTO, spec(height=1 << 20, width=1 << 20), Preprocess())
