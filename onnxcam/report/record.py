"""Records of explanations on disk: reading them, and finding out whether two describe the same explanation."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxcam.report.files import plain

SCHEMA = "onnxcam-explanation-1"

# Records that agree in these describe the same explanation, whatever machine made it.
_IDENTITY = ("source", "method", "layer", "score")
_PROVENANCE = ("sha256", "preprocessing")
_PLAIN_TARGET = re.compile(r"class \d+|predicted class of rank \d+")


def read_record(path: Path) -> Mapping[str, Any] | None:
    """Return the record in a file, or None where there is none: no file, or not one that onnxcam wrote."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("format") == SCHEMA else None


def same_explanation(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two records describe the same image, model, method, layer and target."""
    return _identity(one) == _identity(other)


def _identity(record: Mapping[str, Any]) -> object:
    target, provenance = record.get("target") or {}, record.get("provenance") or {}
    return plain(
        [
            *(record.get(key) for key in _IDENTITY),
            target.get("class_index"),
            # The predicted class and the same class by name make one map.
            None if _PLAIN_TARGET.fullmatch(str(target.get("asked"))) else target.get("asked"),
            *(provenance.get(key) for key in _PROVENANCE),
        ]
    )
