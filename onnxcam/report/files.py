"""Writing results: names that cannot collide or escape, whole files or none, JSON that is the same every time."""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from onnxcam.errors import InputError


def slug(text: str, limit: int = 80) -> str:
    """Return text that can stand in a file name: letters, digits and ``. _ + -``, of at most ``limit`` bytes."""
    safe = re.sub(r"[^\w.+-]+", "-", text).strip("-.")
    return safe.encode()[:limit].decode(errors="ignore").rstrip("-.")


def plain(value: Any) -> Any:
    """Return a value in terms of JSON: arrays and tuples as lists, NaN and infinities as null, the unknown as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


def to_json(value: Any) -> str:
    """Return indented JSON with sorted keys; equal values give equal text."""
    return json.dumps(plain(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def make_folder(folder: str | Path) -> Path:
    """Return the folder, which is made if it is missing; an InputError says why it cannot be."""
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder {path} cannot be made ({error.strerror}); choose another") from None
    return path


def write(path: Path, content: Callable[[BinaryIO], object]) -> Path:
    """Write a file under a passing name and then rename it, so that nobody ever reads half of it.

    Args:
        path: where the file goes; one that is there is replaced.
        content: writes to the open file that it is given.

    Raises:
        InputError: the folder cannot be written.
    """
    passing = path.with_name(f".onnxcam-{secrets.token_hex(8)}.part")
    try:
        try:
            with passing.open("xb") as file:
                content(file)
            passing.replace(path)
        finally:
            passing.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another folder") from None
    return path


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        InputError: the system forbids it.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be removed ({error.strerror}); choose another folder or name") from None
