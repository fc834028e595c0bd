"""Build methods and wrappers from the texts of the command line, converted to the types of their fields."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import fields
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import click

from onnxcam.errors import InputError

if TYPE_CHECKING:
    from onnxcam.methods.base import Method

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def build_method(name: str, assignments: Sequence[str], wraps: Sequence[str] = (), to: str | None = None) -> Method:
    """Return the method of that name with fields set from texts such as ``seed=1``, wrapped in wrappers.

    Args:
        name: of the method.
        assignments: its fields.
        wraps: texts such as ``noise:n=8,seed=1``, innermost first.
        to: the layer at which it stops, for methods that propagate.

    Raises:
        NameNotFoundError: no such method or wrapper.
        InputError: no such field, or a value that the field does not take.
    """
    from onnxcam.methods.registry import method, methods, wrap, wrappers
    from onnxcam.methods.support.propagating import PropagatingMethod

    if to is not None and name in methods():
        propagating = [each for each, cls in methods().items() if issubclass(cls, PropagatingMethod)]
        if name not in propagating:
            raise InputError(
                f"--to is for methods that propagate to a chosen layer ({', '.join(propagating)}), not for {name}; use "
                "--layer or --resolution"
            )
        assignments = [*assignments, f"to={to}"]
    built = method(name, **_options(methods().get(name), assignments, "--set"))
    for text in wraps:
        wrapper, _, rest = text.partition(":")
        # A comma also separates the items of one field: it ends the field only before the next FIELD=.
        given = re.split(r",(?=\s*\w+=)", rest) if rest else []
        built = wrap(wrapper, built, **_options(wrappers().get(wrapper), given, "--wrap"))
    return built


def _options(cls: type[Method] | None, assignments: Sequence[str], option: str) -> dict[str, Any]:
    """Return values by field from texts ``seed=1``; unknown fields keep their text, for the method to refuse."""
    types = {} if cls is None else get_type_hints(cls)
    known = set() if cls is None else {field.name for field in fields(cls)} - {"method"}
    options: dict[str, Any] = {}
    for text in assignments:
        field, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise click.UsageError(f"{option} takes FIELD=VALUE, not '{text}'")
        options[field] = _convert(types[field], value) if field in known else value
    return options


def _convert(expected: Any, text: str) -> Any:
    """Return the text as a value of that type, or unchanged where it is none, for the method to refuse."""
    if get_origin(expected) is Literal:
        return next((choice for choice in get_args(expected) if str(choice) == text), text)
    if expected is str:
        return text
    if expected is bool:
        return _TRUTH.get(text.lower(), text)
    if get_origin(expected) is tuple:
        return tuple(_item(item.strip()) for item in text.strip("[]()").split(",") if item.strip())
    if get_origin(expected) is UnionType:  # a name, or an object that only Python code can make
        return text
    try:
        return expected(text) if expected in (int, float) else json.loads(text)
    except ValueError:
        return text


def _item(text: str) -> int | float | str:
    """Return the item of a list: a number where it is one, else a name."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text.strip("\"'")
