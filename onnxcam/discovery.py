"""What registries share: find the classes in the modules of a package, and build one from its fields by name.

There is no second list to edit: a class is in the registry as soon as it is defined in a module of its package.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

from onnxcam.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Named(Protocol):
    """A class that a registry finds, with the name that users type."""

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


def build(cls: type[_Named], noun: str, options: Mapping[str, Any], hidden: tuple[str, ...] = ()) -> _Named:
    """Return an object of a dataclass with the fields that the options name.

    Args:
        cls: what is built.
        noun: what one of them is called in the error.
        options: values by field.
        hidden: fields that the error does not offer.

    Raises:
        InputError: there is no such field, or it takes no such value.
    """
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    if unknown := sorted(set(options) - set(known)):
        offered = ", ".join(field for field in known if field not in hidden) or "none"
        raise InputError(f"{noun} {cls.name} has no field {', '.join(unknown)}; it has {offered}")
    return cls(**options)


def check_fields(item: DataclassInstance, name: str) -> None:
    """Refuse values that do not suit the annotations of their fields; only plain types and Literal are judged.

    Raises:
        InputError: a value does not; the message begins with the field and the name.
    """
    types = get_type_hints(type(item))
    for field in fields(item):
        _check_field(name, field.name, types[field.name], getattr(item, field.name))


def _check_field(name: str, field: str, expected: Any, value: object) -> None:
    if get_origin(expected) is Literal:
        choices = get_args(expected)
        if value not in choices:
            wanted = " or ".join(repr(choice) for choice in choices)
            raise InputError(f"field {field} of {name} is {value!r}; it must be {wanted}")
    elif isinstance(expected, type):
        accepted = (float, int) if expected is float else (expected,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and expected is not bool):
            raise InputError(f"field {field} of {name} is {value!r}; it must be of type {expected.__name__}")
