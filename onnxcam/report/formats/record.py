"""The record: everything that is needed to repeat the explanation, as JSON."""

from __future__ import annotations

from typing import BinaryIO

from onnxcam.report.format import Format, ImageReport


def _write(report: ImageReport, file: BinaryIO) -> None:
    from onnxcam.report.files import to_json

    file.write(to_json(report.record).encode())


format = Format(
    name="record",
    suffix=".json",
    summary="What is needed to repeat the explanation: model, method, layer, target, predictions, warnings (JSON).",
    write=_write,
    default=True,
    rank=-1,
)
