"""The overlay: the map over the photograph, as a picture."""

from __future__ import annotations

from typing import BinaryIO

from onnxcam.report.format import Format, ImageReport


def _write(report: ImageReport, file: BinaryIO) -> None:
    report.overlay().save(file, "PNG")


format = Format(
    name="overlay",
    suffix=".png",
    summary="The map in colours over the photograph, with the explained class below (PNG).",
    write=_write,
    default=True,
    rank=1,
)
