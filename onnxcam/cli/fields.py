"""Fields of a method from the command line: text becomes what the dataclass declares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import click

if TYPE_CHECKING:
    from onnxcam.methods.base import Method

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def build_method(name: str, assignments: Sequence[str]) -> Method:
    """Return the method of that name with fields set from texts such as ``seed=1``.

    Raises:
        NameNotFoundError: no such method.
        InputError: no such field, or a value that the field does not take.
    """
    from onnxcam.methods.registry import method, methods

    cls = methods().get(name)
    types = {} if cls is None else get_type_hints(cls)
    known = set() if cls is None else {field.name for field in fields(cls)}
    options: dict[str, Any] = {}
    for text in assignments:
        field, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--set takes FIELD=VALUE, not '{text}'")
        options[field] = _convert(types[field], value) if field in known else value
    return method(name, **options)


def _convert(expected: Any, text: str) -> Any:
    """Return the text as a value of that type; what cannot be is left as it is, for the method to refuse."""
    if get_origin(expected) is Literal:
        return next((choice for choice in get_args(expected) if str(choice) == text), text)
    if expected is str:
        return text
    if expected is bool:
        return _TRUTH.get(text.lower(), text)
    try:
        return expected(text) if expected in (int, float) else json.loads(text)
    except ValueError:
        return text
