"""Errors of onnxruntime: their message without the position in its source code, and whether memory was too small."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from onnxcam.errors import OutOfMemoryError

_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
# "/onnxruntime_src/.../file.cc:729 void onnxruntime::function(arguments) ", then what matters.
_SOURCE_POSITION = re.compile(r"\S+\.(?:cc|h|cpp):\d+ .*?\)(?: const)? (?=\S)")

# Of the CPU's allocators, of its arena at its limit, of the C++ library, of the system, of CUDA and what uses it.
_NO_MEMORY = re.compile(
    r"failed to allocate|available memory of|bad.alloc|cannot allocate|out of memory|_alloc_failed", re.IGNORECASE
)


def reason(error: Exception) -> str:
    """Return the message of an error of onnxruntime in one line."""
    text = _SOURCE_POSITION.sub("", _CODE.sub("", " ".join(str(error).split())))
    return text.rstrip(" .") or type(error).__name__


def wants_memory(error: Exception) -> bool:
    """Whether what went wrong is that there was too little memory."""
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


@contextmanager
def report_memory_errors() -> Iterator[None]:
    """Turn a ``MemoryError`` of the body, usually NumPy's, into one that says what to do.

    Raises:
        OutOfMemoryError: in its stead.
    """
    try:
        yield
    except MemoryError as error:
        raise OutOfMemoryError(
            f"too little memory for the arrays of one call ({reason(error)}); "
            "explain fewer images at once (--batch), smaller ones, or at a layer of fewer positions"
        ) from error
