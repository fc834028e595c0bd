"""Read images from files; they are untrusted, so every way in which one can be broken becomes a one-line error."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError, features

from onnxcam.errors import ImageError

ImageSource: TypeAlias = str | Path | Image.Image | npt.NDArray[np.uint8]

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)

# Only raster formats that Pillow decodes by itself. Its list of all formats includes some that start other programs.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", *(("WEBP",) if features.check("webp") else ()))
if features.check("avif"):
    _FORMATS += ("AVIF",)

_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def expand(paths: Sequence[str | Path]) -> list[Path]:
    """Return the image files that files, folders and patterns name, in the order given.

    A folder stands for the images directly inside it, a pattern (``*``, ``?``, ``[...]``, ``**``) for the images it
    matches; both sorted by name and chosen by suffix. A file that is named outright is taken whatever its suffix.

    Raises:
        ImageError: a path does not exist, a folder holds no image, or a pattern matches none.
    """
    return [file for path in paths for file in _expand_one(path)]


def _expand_one(path: str | Path) -> list[Path]:
    """Return the files that one path names. Existing names win over patterns: a file may be called ``photo[1].png``."""
    named = Path(path)
    try:
        if named.is_dir():
            return _images(named.iterdir(), f"folder {path} holds no image ({_suffixes()})")
        if named.exists():
            return [named]
    except (OSError, ValueError) as error:
        raise ImageError(f"{path}: cannot be looked up ({error}); check the name and its permissions") from None
    if glob.has_magic(str(path)):
        found = (Path(match) for match in glob.iglob(str(path), recursive=True))
        return _images(found, f"pattern {path} matches no image ({_suffixes()})")
    raise ImageError(f"{path}: no such file or folder; check the path")


def _images(files: Any, otherwise: str) -> list[Path]:
    chosen = sorted(file for file in files if file.suffix.lower() in SUFFIXES and file.is_file())
    if not chosen:
        raise ImageError(f"{otherwise}; name image files, or a folder of them")
    return chosen


def _suffixes() -> str:
    return " ".join(sorted(SUFFIXES))


def read_image(source: ImageSource) -> Image.Image:
    """Return an image as upright 8-bit RGB, whatever it was.

    The EXIF orientation is applied; of an animation the first frame is taken; transparency is laid over white, as a
    browser shows it; 16-bit grey keeps its upper eight bits' range (65535 becomes 255).

    Args:
        source: a path, a Pillow image, or a uint8 array ``[H, W]``, ``[H, W, 1]``, ``[H, W, 3]`` (RGB) or
            ``[H, W, 4]`` (RGBA).

    Raises:
        ImageError: the file is missing, no image, cut short or suspiciously large, or the array has another shape.
    """
    if isinstance(source, np.ndarray):
        return _to_rgb(_from_array(source), "array")
    with warnings.catch_warnings():
        # Complaints about odd metadata do not concern the pixels; those about size do.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        if isinstance(source, Image.Image):
            return _decode(source, _name_of(source))
        return _read_file(Path(source))


def _read_file(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return _decode(image, str(path))
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not an image, or of an unknown format; give one of {' '.join(_FORMATS)}") from None
    except _BOMBS:
        raise _too_large(str(path)) from None
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file; check the path") from None
    except ImageError:
        raise
    except Exception as error:  # decoders of untrusted bytes raise errors of every class
        raise ImageError(f"{path}: cannot be read ({_reason(error)}); check that it is a readable image") from None


def _decode(image: Image.Image, name: str) -> Image.Image:
    try:
        image.load()
    except _BOMBS:
        raise _too_large(name) from None
    except Exception as error:  # as above: any class of error can come out of a decoder
        raise ImageError(f"{name}: damaged or cut short ({_reason(error)}); save or download it again") from None
    return _to_rgb(_upright(image), name)


def _too_large(name: str) -> ImageError:
    return ImageError(
        f"{name}: more than {Image.MAX_IMAGE_PIXELS} pixels; make it smaller first, "
        "or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it"
    )


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a photograph with unreadable metadata is still a photograph
        return image


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if 0 in image.size:
        raise ImageError(f"{name}: the image has no pixels; give one of at least 1x1")
    if image.mode == "F":
        raise ImageError(f"{name}: float pixels have no known range; convert them to 8 bits first")
    if image.mode.startswith("I"):
        return _from_16_bit(image, name)
    try:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        return image.convert("RGB")
    except ValueError as error:
        raise ImageError(f"{name}: mode {image.mode} cannot become RGB ({error}); convert it first") from None


def _from_16_bit(image: Image.Image, name: str) -> Image.Image:
    """Pillow opens 16-bit grey as mode I;16 or I, which can hold 32 bits as well."""
    pixels = np.asarray(image).astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ImageError(f"{name}: 32-bit pixels have no known range; convert them to 8 or 16 bits first")
    return Image.fromarray(((pixels + 128) // 257).astype(np.uint8)).convert("RGB")


def _from_array(array: npt.NDArray[Any]) -> Image.Image:
    if array.dtype != np.uint8:
        raise ImageError(f"an image array must be uint8 with values 0 to 255, this one is {array.dtype}; convert it")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if 0 in array.shape or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(f"an image array must be [H, W], [H, W, 3] or [H, W, 4], this one is {list(array.shape)}")
    return Image.fromarray(array)


def _name_of(image: Image.Image) -> str:
    return str(getattr(image, "filename", "") or "image")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
