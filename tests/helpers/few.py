"""Methods that run the network many times, with few runs: enough to show that they run, where maps are not compared."""

from __future__ import annotations

from typing import Any

from onnxcam.methods.base import Method
from onnxcam.methods.registry import method

_FEW: dict[str, dict[str, Any]] = {
    "rise": {"count": 48},
    "gscore-cam": {"count": 16},
    "ss-cam": {"count": 2},
    "is-cam": {"count": 2},
    "smooth-grad": {"n": 4},
    "smooth-grad-cam++": {"n": 4},
    "integrated-gradients": {"steps": 4},
    "integrated-grad-cam": {"steps": 4},
}


def few(name: str, **options: Any) -> Method:
    """Return the method of that name, with fewer runs than by default and further fields set."""
    return method(name, **_FEW.get(name, {}), **options)
