"""Execution providers: CUDA where it loads, else the CPU; one that was asked for is never silently replaced."""

from __future__ import annotations

import ctypes
import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, TypeAlias

import onnxruntime

from onnxcam.errors import ProviderError, did_you_mean

# A short name such as "cuda", onnxruntime's own name, or that with a dictionary of options.
Provider: TypeAlias = str | tuple[str, dict[str, Any]]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
# Severities of onnxruntime's log.
FATAL = 4
_WARNING = 2


def available() -> list[str]:
    """Return the providers that this build of onnxruntime was made with; that one is listed does not mean it loads."""
    return list(onnxruntime.get_available_providers())


def full_name(provider: Provider) -> Provider:
    """Return onnxruntime's name of a provider: ``cuda`` is ``CUDAExecutionProvider``.

    Raises:
        ProviderError: this build of onnxruntime has no such provider.
    """
    name, options = (provider, None) if isinstance(provider, str) else provider
    by_short = {entry.removesuffix("ExecutionProvider").lower(): entry for entry in available()}
    found = name if name in by_short.values() else by_short.get(name.lower())
    if found is None:
        raise ProviderError(
            f"provider '{name}' is not in this build of onnxruntime{did_you_mean(name.lower(), by_short)} "
            f"(it has {', '.join(by_short)})"
        )
    return found if options is None else (found, options)


def has_cuda_driver() -> bool:
    """Whether the machine has NVIDIA's driver: without it, trying CUDA only costs time and prints errors."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def preferred(providers: Sequence[Provider] | None) -> list[Provider]:
    """Return the providers to try, best first; the CPU comes last always.

    Args:
        providers: what the user asks for; None for CUDA where there is a driver for it, and the CPU.
    """
    if providers is None:
        wanted: list[Provider] = [CUDA] if CUDA in available() and has_cuda_driver() else []
    else:
        wanted = [full_name(provider) for provider in ([providers] if isinstance(providers, str) else providers)]
    if any(name_of(provider) == CUDA for provider in wanted):
        # Finds CUDA and cuDNN in their Python packages, which the loader of the system does not know. It prints what it
        # does not find; whether the provider loads is seen from the session.
        with redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
    return wanted if any(name_of(provider) == CPU for provider in wanted) else [*wanted, CPU]


def require_loaded(asked: Sequence[Provider], loaded: Sequence[str]) -> None:
    """Raise if the first provider asked for is not among those that a session really has.

    Raises:
        ProviderError: onnxruntime fell back to another provider.
    """
    first = name_of(asked[0])
    if first not in loaded:
        raise ProviderError(
            f"{first} does not load on this machine (onnxruntime would run on {', '.join(loaded)} instead); "
            "check its driver and libraries, or ask for --provider cpu"
        )


def name_of(provider: Provider) -> str:
    """Return the name of a provider that may come with options."""
    return provider if isinstance(provider, str) else provider[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep onnxruntime from printing what is reported as an error here."""
    onnxruntime.set_default_logger_severity(FATAL)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)
