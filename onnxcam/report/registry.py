"""Formats of output by name: every module of ``onnxcam.report.formats`` declares one. Light enough for ``--help``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cache
from types import MappingProxyType

from onnxcam.discovery import module_names
from onnxcam.errors import NameNotFoundError, did_you_mean
from onnxcam.report.format import Format

_PACKAGE = "onnxcam.report.formats"


@cache
def formats() -> MappingProxyType[str, Format]:
    """Return every format by name, in alphabetical order.

    Raises:
        RuntimeError: two formats share a name or a suffix, or a suffix could leave the folder.
    """
    found: dict[str, Format] = {}
    for module in module_names(_PACKAGE):
        declared: Format = importlib.import_module(f"{_PACKAGE}.{module}").format
        _check(declared, found)
        found[declared.name] = declared
    return MappingProxyType(dict(sorted(found.items())))


def default_formats() -> list[str]:
    """Return the names of the formats that are written where none is named, for explanations that they apply to."""
    return [name for name, each in formats().items() if each.default]


def _check(declared: Format, others: dict[str, Format]) -> None:
    if declared.name in others:
        raise RuntimeError(f"two formats are named {declared.name}; give one of them another name")
    if declared.suffix[:1] not in (".", "-") or set(declared.suffix) & set("/\\:"):
        raise RuntimeError(f"suffix '{declared.suffix}' of format {declared.name} must be such as .csv or -part.png")
    for other in others.values():
        # Some file systems do not distinguish .PNG and .png.
        if other.suffix.casefold() == declared.suffix.casefold():
            raise RuntimeError(f"formats {other.name} and {declared.name} both end in {declared.suffix}; change one")


def find_formats(names: Sequence[str]) -> list[Format]:
    """Return the formats of those names, each once.

    Raises:
        NameNotFoundError: there is no such format; near names are suggested and all are listed.
    """
    known = formats()
    for name in names:
        if name not in known:
            raise NameNotFoundError(
                f"no format is named '{name}'{did_you_mean(name, known)} (the formats are {', '.join(known)})"
            )
    return [known[name] for name in dict.fromkeys(names)]
