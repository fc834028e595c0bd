"""Read a text file that a user names: untrusted, so of limited size and certainly UTF-8."""

from __future__ import annotations

from pathlib import Path

from onnxcam.errors import InputError


def read_text(path: Path, noun: str, limit: int) -> str:
    """Return the text of a UTF-8 file, without a byte order mark.

    Args:
        path: of the file.
        noun: what the file is called in errors, for instance ``label file``.
        limit: the largest size that is read, in bytes.

    Raises:
        InputError: it cannot be read, is larger, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"{noun} {path} cannot be read ({error.strerror}); check the path") from None
    if len(data) > limit:
        raise InputError(f"{noun} {path} is larger than {limit} bytes; check that it is the right one")
    try:
        return data.decode("utf-8-sig")
    except ValueError:
        raise InputError(f"{noun} {path} is not UTF-8 text; check that it is the right one") from None
