"""Methods and wrappers by name. One joins by being a class in a module of formulas/ or wrappers/: no second list."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from onnxcam.discovery import build, find_classes
from onnxcam.errors import InputError, NameNotFoundError, did_you_mean
from onnxcam.methods.base import Method

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGES = ("onnxcam.methods.formulas", "onnxcam.methods.wrappers")


@cache
def methods() -> MappingProxyType[str, type[Method]]:
    """Return every method class by name, in alphabetical order."""
    return _of_kind("method")


@cache
def wrappers() -> MappingProxyType[str, type[Method]]:
    """Return every wrapper class by name, in alphabetical order."""
    return _of_kind("wrapper")


def _of_kind(kind: str) -> MappingProxyType[str, type[Method]]:
    """Return the classes of one kind; methods and wrappers are found together, so that no two have one name."""
    found = find_classes(Method, "method or wrapper", *_PACKAGES)  # type: ignore[type-abstract]
    return MappingProxyType({name: cls for name, cls in found.items() if cls.kind == kind})


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
            given = ", ".join(sorted(options))
            raise InputError(f"options {given} given with a method that is built already; set them where it is built")
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
        raise InputError(f"wrapper {name} takes the wrapped method as the argument inner; leave out the option method")
    return _make(known[name], {"method": inner, **options})


def _make(cls: type[Method], options: Mapping[str, Any]) -> Method:
    """Return an object of a class with its fields set; the error offers no field for what a wrapper wraps."""
    return build(cls, cls.kind, options, hidden=("method",))
