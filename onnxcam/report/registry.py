"""Formats of output by name. One joins by being a module of ``report/formats``: there is no second list."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from types import MappingProxyType

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
    for module in pkgutil.iter_modules(importlib.import_module(_PACKAGE).__path__):
        declared = importlib.import_module(f"{_PACKAGE}.{module.name}").format
        _check(declared, found)
        found[declared.name] = declared
    return MappingProxyType(dict(sorted(found.items())))


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
