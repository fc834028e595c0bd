"""List the photographs of a command and read them in batches, as many at a time as run together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onnxcam.errors import ImageError

if TYPE_CHECKING:
    from onnxcam.explainer import Explainer
    from onnxcam.images import Photograph

# Bytes that the photographs of one batch may take at full size, not counting the arrays made of them.
_PIXEL_BYTES = 2**28

Report = Callable[[str, ImageError], None]


def list_images(images: Sequence[str], report: Report) -> list[Path]:
    """Return the files that paths, folders and patterns name, each once; what names none is reported."""
    from onnxcam.images import expand

    found: dict[Path, None] = {}
    for entry in images:
        try:
            found.update(dict.fromkeys(expand([entry])))
        except ImageError as error:
            report(entry, error)
    return list(found)


def batches(explainer: Explainer, files: Sequence[Path], report: Report) -> Iterator[list[Photograph]]:
    """Read files in their order and yield neighbours that the model sees in one size, as many as run at once.

    A file that cannot be read is reported and left out.
    """
    waiting: list[Photograph] = []
    for file in files:
        try:
            photograph = explainer.read(file)
        except ImageError as error:
            report(str(file), error)
            continue
        if waiting and waiting[0].array.shape != photograph.array.shape:
            yield waiting
            waiting = []
        waiting.append(photograph)
        if len(waiting) >= explainer.batch_size or sum(map(_bytes, waiting)) > _PIXEL_BYTES:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _bytes(photograph: Photograph) -> int:
    width, height = photograph.image.size
    return 3 * width * height
