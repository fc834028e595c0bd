"""Methods by name. A method joins by being a class in a module of this package: there is no second list."""

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
    from collections.abc import Iterator


def _concrete(cls: type[Method]) -> Iterator[type[Method]]:
    for child in cls.__subclasses__():
        if child.__module__.startswith("onnxcam.methods.") and not getattr(child, "__abstractmethods__", None):
            yield child
        yield from _concrete(child)


@cache
def methods() -> MappingProxyType[str, type[Method]]:
    """Return every method class by name, in alphabetical order."""
    package = importlib.import_module("onnxcam.methods")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"onnxcam.methods.{module.name}")
    found: dict[str, type[Method]] = {}
    for cls in _concrete(Method):  # type: ignore[type-abstract]
        if cls.name in found:
            raise RuntimeError(f"two methods are named {cls.name}: {found[cls.name]} and {cls}")
        found[cls.name] = cls
    return MappingProxyType(dict(sorted(found.items())))


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
    if name not in known:
        raise NameNotFoundError(f"no method is named '{name}'{did_you_mean(name, known)} (onnxcam methods lists all)")
    cls = known[name]
    allowed = [field.name for field in fields(cls)]
    if unknown := sorted(set(options) - set(allowed)):
        raise InputError(f"method {name} has no field {', '.join(unknown)}; it has {', '.join(allowed) or 'none'}")
    return cls(**options)
