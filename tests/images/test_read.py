from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnxcam.errors import ImageError
from onnxcam.images import expand, read_image
from tests.helpers.shared import shared_path

RED_GREEN = np.array([[[255, 0, 0], [0, 255, 0]]], dtype=np.uint8)


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return [folder / name for name in names]


def test_expand_files_folders_and_patterns_in_the_order_given(tmp_path: Path) -> None:
    touch(tmp_path, "b.PNG", "a.jpg", "notes.txt", "deep/c.png")
    assert expand([str(tmp_path / "deep"), tmp_path]) == [
        tmp_path / "deep/c.png",
        tmp_path / "a.jpg",
        tmp_path / "b.PNG",
    ]
    assert expand([f"{tmp_path}/*"]) == [tmp_path / "a.jpg", tmp_path / "b.PNG"]
    assert expand([f"{tmp_path}/**/*.png"]) == [tmp_path / "deep/c.png"]
    assert expand([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]


def test_expand_prefers_a_name_that_exists_over_a_pattern(tmp_path: Path) -> None:
    odd, _ = touch(tmp_path, "photo[1].png", "photo1.png")
    assert expand([odd]) == [odd]


@pytest.mark.parametrize("name", ["none.png", "*.png", "empty", "a\0b"])
def test_expand_names_what_matches_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=r"none\.png|no image|no such file|cannot be looked up") as caught:
        expand([f"{tmp_path}/{name}"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif", "ppm", "webp"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(RED_GREEN).save(path, lossless=True)  # only WebP listens
    image = read_image(path)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), RED_GREEN)


def test_exif_orientation_is_applied_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn clockwise
    Image.fromarray(RED_GREEN).save(tmp_path / "x.png", exif=exif)
    image = read_image(tmp_path / "x.png")
    np.testing.assert_array_equal(np.asarray(image), RED_GREEN.transpose(1, 0, 2))
    np.testing.assert_array_equal(np.asarray(read_image(image)), np.asarray(image))


def test_transparency_lies_over_white() -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], dtype=np.uint8)
    expected = [[[10, 20, 30], [255, 255, 255]]]
    assert np.asarray(read_image(pixels)).tolist() == expected
    palette = Image.fromarray(pixels).quantize(method=Image.Quantize.FASTOCTREE)
    assert np.asarray(read_image(palette))[0, 1].tolist() == [255, 255, 255]
    both = Image.fromarray(np.array([[[7, 255], [7, 0]]], dtype=np.uint8), "LA")
    assert np.asarray(read_image(both)).tolist() == [[[7] * 3, [255] * 3]]


def test_sixteen_bits_keep_their_range(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16)).save(tmp_path / "x.png")
    assert np.asarray(read_image(tmp_path / "x.png"))[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16", "I"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    assert read_image(Image.new(mode, (3, 2))).mode == "RGB"


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (2, 3, 3), (2, 3, 4)])
def test_arrays(shape: tuple[int, ...]) -> None:
    image = read_image(np.full(shape, 255, dtype=np.uint8))
    assert (image.mode, image.size) == ("RGB", (3, 2))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2), np.float32),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((0, 2), np.uint8),
        np.zeros((1, 2, 2, 3), np.uint8),
    ],
)
def test_arrays_that_are_no_images(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match="image array must be"):
        read_image(array)


@pytest.mark.parametrize("image", [Image.new("F", (2, 2)), Image.new("I", (1, 1), 70000), Image.new("RGB", (0, 3))])
def test_pixels_without_a_meaning(image: Image.Image) -> None:
    with pytest.raises(ImageError, match=r"no known range|no pixels"):
        read_image(image)


def png(*images: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(images[0]).save(file, "PNG")
    return file.getvalue()


def huge_png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"only words", "not an image"),
        (b"", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (png(NOISE)[:4000], "damaged or cut short"),
        (png(NOISE).replace(b"IDAT", b"IDAX"), "not an image"),
        (huge_png(), "pixels; make it smaller"),
    ],
)
def test_bad_files_end_in_one_line(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="cannot be read"):
        read_image(tmp_path)


def test_real_photographs() -> None:
    for path in expand([shared_path("images", "photos")]):
        assert read_image(path).mode == "RGB"
