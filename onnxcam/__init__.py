"""White-box visual explanations for the ONNX file that you deploy.

Every public name is here; what it needs is imported when it is first used, so that ``import onnxcam`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxcam.engines.gradient_model import differentiate
    from onnxcam.errors import OnnxcamError, OnnxcamWarning
    from onnxcam.explainer import Explainer, explain
    from onnxcam.explanation import Explanation
    from onnxcam.images import Preprocess
    from onnxcam.methods.base import Method
    from onnxcam.methods.registry import method, wrap

_HOMES = {
    "Explainer": "onnxcam.explainer",
    "Explanation": "onnxcam.explanation",
    "Method": "onnxcam.methods.base",
    "OnnxcamError": "onnxcam.errors",
    "OnnxcamWarning": "onnxcam.errors",
    "Preprocess": "onnxcam.images",
    "differentiate": "onnxcam.engines.gradient_model",
    "explain": "onnxcam.explainer",
    "method": "onnxcam.methods.registry",
    "wrap": "onnxcam.methods.registry",
}

__all__ = [
    "Explainer",
    "Explanation",
    "Method",
    "OnnxcamError",
    "OnnxcamWarning",
    "Preprocess",
    "differentiate",
    "explain",
    "method",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'onnxcam' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
