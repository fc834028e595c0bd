"""A format of output, and the data about one image that it can write.

``--help`` lists the formats and must not load NumPy. So this module and those of ``formats`` import NumPy and Pillow
inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image


@dataclass(frozen=True, eq=False)
class ImageReport:
    """The data that formats can write about one image.

    Attributes:
        map: float32 from 0 to 1, ``[H, W]`` of the model's input for images.
        raw: float32, signed, ``[*spatial]`` of the layer (one, two or three axes), in the method's own units.
        scores: float32 ``[classes]``, as the score tensor gives them.
        record: everything else in terms of JSON, as ``Explanation.record`` returns it; while files are written its
            ``files`` holds their names by format.
        overlay: draws the map over the photograph.
        photo: the upright photograph, if there is one.
        film: the maps of every size in one strip, if they were asked for.
    """

    map: npt.NDArray[np.float32]
    raw: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    record: Mapping[str, Any]
    overlay: Callable[[], Image.Image]
    photo: Image.Image | None = None
    film: Image.Image | None = None


def _nothing(report: ImageReport) -> str:
    return ""


@dataclass(frozen=True)
class Format:
    """One file that can be written for each image.

    Attributes:
        name: what ``--format`` and ``Explanation.save(formats=...)`` call it.
        suffix: what follows the stem in the file's name, such as ``.png`` or ``-film.png``; no other format has it.
        summary: one line for the help and the manual.
        write: writes the content to an open binary file.
        default: whether it is written where no format is named, for explanations that it applies to.
        missing: returns what an explanation lacks to be written in this format, and how to get it; empty if nothing.
        rank: of the files of one image, the command line names that of the highest rank.
    """

    name: str
    suffix: str
    summary: str
    write: Callable[[ImageReport, BinaryIO], object]
    default: bool = False
    missing: Callable[[ImageReport], str] = _nothing
    rank: int = 0
