"""The film: the maps of one image from coarse to fine, in one strip."""

from __future__ import annotations

from typing import BinaryIO

from onnxcam.report.format import Format, ImageReport


def _missing(report: ImageReport) -> str:
    return "" if report.film is not None else "a film; draw one with --film, in Python explain(..., film=True)"


def _write(report: ImageReport, file: BinaryIO) -> None:
    assert report.film is not None, "refused by _missing"
    report.film.save(file, "PNG")


format = Format(
    name="film",
    suffix="-film.png",
    summary="The maps of every size that the method can make, coarse to fine, in one strip (PNG); needs --film.",
    write=_write,
    default=True,
    missing=_missing,
    rank=2,
)
