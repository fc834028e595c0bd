"""Files that are no part of the repository: real models and photographs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared"


def shared_path(*parts: str) -> Path:
    """Return a path below ``$ONNXCAM_SHARED`` or ``../shared``; skip the test where it is not there."""
    path = Path(os.environ.get("ONNXCAM_SHARED", _BESIDE)).joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not here; set ONNXCAM_SHARED to the folder that holds {parts[0] if parts else 'it'}")
    return path
