"""The raw map as a NumPy array."""

from __future__ import annotations

from typing import BinaryIO

from onnxcam.report.format import Format, ImageReport


def _write(report: ImageReport, file: BinaryIO) -> None:
    import numpy as np

    np.save(file, report.raw, allow_pickle=False)


format = Format(
    name="raw",
    suffix=".npy",
    summary="The signed map at the layer's size, in the method's own units (NumPy array of float32).",
    write=_write,
    default=True,
)
