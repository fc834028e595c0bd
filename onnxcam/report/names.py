"""Titles of methods and names of files, from the record of an explanation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxcam.report.files import slug


def method_title(method: Mapping[str, Any]) -> str:
    """Return the name of a described method followed by those of its wrappers, from the inside: ``grad-cam-augment``.

    Args:
        method: as ``Method.describe`` returns it; a wrapper holds what it wraps under ``method``.
    """
    names = [str(method.get("name", ""))]
    while isinstance(method := method.get("method", {}), Mapping) and method:
        names.append(str(method.get("name", "")))
    return "-".join(name for name in reversed(names) if name)


def file_stem(source: str, method: Mapping[str, Any], target: str, class_index: int) -> str:
    """Return the stem of the files of one image, ``photo-grad-cam-tabby``; it cannot leave its folder.

    Args:
        source: where the image came from: a path, or empty.
        method: as ``Method.describe`` returns it.
        target: name of the explained class; its index is used where no character of the name can stand in a file name.
        class_index: index of the explained class.
    """
    image = slug(Path(source).stem) or "image"
    return "-".join([image, method_title(method) or "map", slug(target, 40) or str(class_index)])
