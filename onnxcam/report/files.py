"""Write files whole or not at all, with safe names and reproducible JSON."""

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
    """Return a value in terms of JSON: arrays and tuples as lists, NaN and infinities as null, other types as text."""
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
    """Return the folder, which is made if it is missing.

    Raises:
        InputError: it cannot be made.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder {path} cannot be made ({error.strerror}); choose another") from None
    return path


def write(path: Path, content: Callable[[BinaryIO], object]) -> Path:
    """Write a file under a temporary name and then rename it, so that nobody ever reads half of it.

    Args:
        path: of the file; an existing one is replaced.
        content: writes to the open file that it is given.

    Raises:
        InputError: the folder cannot be written.
    """
    temporary = path.with_name(f".onnxcam-{secrets.token_hex(8)}.part")
    try:
        try:
            with temporary.open("xb") as file:
                content(file)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
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
