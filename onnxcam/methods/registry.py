"""Methods and wrappers by name. One joins by being a class in a module of this package: there is no second list."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import fields
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from onnxcam.errors import InputError, NameNotFoundError, did_you_mean
from onnxcam.methods.base import Method

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PACKAGE = "onnxcam.methods"
_METHODS = "onnxcam.methods.formulas"
_WRAPPERS = "onnxcam.methods.wrappers"


@cache
def methods() -> MappingProxyType[str, type[Method]]:
    """Return every method class by name, in alphabetical order."""
    return MappingProxyType({name: cls for name, cls in _read(_METHODS).items() if cls.kind == "method"})


@cache
def wrappers() -> MappingProxyType[str, type[Method]]:
    """Return every wrapper class by name, in alphabetical order."""
    return MappingProxyType({name: cls for name, cls in _read(_METHODS, _WRAPPERS).items() if cls.kind == "wrapper"})


def _read(*packages: str) -> dict[str, type[Method]]:
    """Return the classes of all modules of these packages by name."""
    for package in packages:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            importlib.import_module(f"{package}.{module.name}")
    found: dict[str, type[Method]] = {}
    for cls in _concrete(Method):  # type: ignore[type-abstract]
        if cls.name in found:
            raise RuntimeError(f"two methods are named {cls.name}: {found[cls.name]} and {cls}")
        found[cls.name] = cls
    return dict(sorted(found.items()))


def _concrete(cls: type[Method]) -> Iterator[type[Method]]:
    for child in cls.__subclasses__():
        if child.__module__.startswith(f"{_PACKAGE}.") and not getattr(child, "__abstractmethods__", None):
            yield child
        yield from _concrete(child)


def method(name: str | Method, **options: Any) -> Method:
    """Return the method of that name with its fields set.

    Args:
        name: a name from ``onnxcam methods``, or a method, which is returned as it is.
        **options: fields of the method, for instance ``seed=1`` for ``random-cam``.

    Raises:
        NameNotFoundError: no method has that name; near names are suggested.
        InputError: the method has no such field.
    """
    if isinstance(name, Method):
        if options:
            raise InputError(f"options {sorted(options)} given beside a finished method; set them where it is made")
        return name
    known = methods()
    if name in wrappers() and "method" in options:
        return _make(wrappers()[name], options)
    if name not in known:
        hint = f"; wrap a method in it: --wrap {name}" if name in wrappers() else did_you_mean(name, known)
        raise NameNotFoundError(f"no method is named '{name}'{hint} (onnxcam methods lists all)")
    return _make(known[name], options)


def wrap(name: str, inner: Method, /, **options: Any) -> Method:
    """Return a method wrapped in the wrapper of that name.

    Args:
        name: a wrapper's name from ``onnxcam methods``.
        inner: what is wrapped.
        **options: fields of the wrapper, for instance ``n=8`` for ``noise``.

    Raises:
        NameNotFoundError: no wrapper has that name; near names are suggested.
        InputError: the wrapper has no such field, or does not take such a method.
    """
    known = wrappers()
    if name not in known:
        raise NameNotFoundError(f"no wrapper is named '{name}'{did_you_mean(name, known)} (onnxcam methods lists all)")
    if "method" in options:
        raise InputError(f"wrapper {name} takes what it wraps by itself, not as its field method")
    return _make(known[name], {"method": inner, **options})


def _make(cls: type[Method], options: Mapping[str, Any]) -> Method:
    """Return an object of a class with its fields set."""
    allowed = [field.name for field in fields(cls)]
    if unknown := sorted(set(options) - set(allowed)):
        allowed = [field for field in allowed if field != "method"]
        raise InputError(
            f"{cls.kind} {cls.name} has no field {', '.join(unknown)}; it has {', '.join(allowed) or 'none'}"
        )
    return cls(**options)
