"""What onnxruntime complains of, without the places in its own source code."""

from __future__ import annotations

import re

_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
# "/onnxruntime_src/.../file.cc:729 void onnxruntime::function(arguments) ", then what matters.
_PLACE = re.compile(r"\S+\.(?:cc|h|cpp):\d+ .*?\)(?: const)? (?=\S)")


def reason(error: Exception) -> str:
    """Return the message of an error of onnxruntime in one line."""
    text = _PLACE.sub("", _CODE.sub("", " ".join(str(error).split())))
    return text.rstrip(" .") or type(error).__name__
