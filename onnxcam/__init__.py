"""White-box visual explanations for the ONNX file that you deploy.

Every public name is here; what it needs is imported when it is first used, so that ``import onnxcam`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnxcam.targets as target
    from onnxcam.engines.gradient_model import differentiate
    from onnxcam.errors import OnnxcamError, OnnxcamWarning
    from onnxcam.explainer import Explainer, explain
    from onnxcam.explanation import Explanation
    from onnxcam.images import Preprocess
    from onnxcam.methods.base import Method
    from onnxcam.methods.registry import method, wrap

    __version__: str

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
# Public names that are whole modules.
_MODULES = {"target": "onnxcam.targets"}

__all__ = [
    "Explainer",
    "Explanation",
    "Method",
    "OnnxcamError",
    "OnnxcamWarning",
    "Preprocess",
    "__version__",
    "differentiate",
    "explain",
    "method",
    "target",
    "wrap",
]


def __getattr__(name: str) -> Any:
    value: Any
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    elif name == "__version__":
        value = importlib.import_module("importlib.metadata").version("onnxcam")
    else:
        raise AttributeError(f"module 'onnxcam' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
