"""Find the parts of a registry: the classes in the modules of a package, so that there is no second list to edit."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import MappingProxyType
from typing import ClassVar, Protocol, TypeVar


class Named(Protocol):
    """A class that a registry holds: users type its name."""

    name: ClassVar[str]


_Named = TypeVar("_Named", bound=Named)


def module_names(package: str) -> list[str]:
    """Return the names of the modules directly inside a package, in alphabetical order, without importing them."""
    return sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__))


def find_classes(base: type[_Named], noun: str, *packages: str) -> MappingProxyType[str, type[_Named]]:
    """Import every module of some packages and return the classes that they define, by name in alphabetical order.

    Args:
        base: what the classes derive from; abstract ones are left out, and so are those of other packages.
        noun: what one of them is called in the error, for instance ``method``.
        *packages: full names.

    Raises:
        RuntimeError: two classes have one name.
    """
    for package in packages:
        for module in module_names(package):
            importlib.import_module(f"{package}.{module}")
    found: dict[str, type[_Named]] = {}
    for cls in _concrete(base):
        if not cls.__module__.startswith(tuple(f"{package}." for package in packages)):
            continue
        if cls.name in found:
            raise RuntimeError(f"two classes are the {noun} {cls.name}: {found[cls.name]} and {cls}; rename one")
        found[cls.name] = cls
    return MappingProxyType(dict(sorted(found.items())))


def _concrete(base: type[_Named]) -> Iterator[type[_Named]]:
    """Yield every class derived from the base that can be instantiated, each once."""
    seen: set[type[_Named]] = set()
    waiting = base.__subclasses__()
    while waiting:
        cls = waiting.pop()
        waiting.extend(cls.__subclasses__())
        if cls not in seen and not getattr(cls, "__abstractmethods__", None):
            seen.add(cls)
            yield cls
