"""Checks of the fields of a method, made where it is built."""

from __future__ import annotations

from onnxcam.errors import InputError
from onnxcam.methods.base import Method


def check_counts(method: Method, *names: str) -> None:
    """Raise InputError unless each of these fields is at least 1."""
    for name in names:
        if (value := getattr(method, name)) < 1:
            raise InputError(f"field {name} of {method.name} is {value!r}; it must be at least 1")


def check_positive(method: Method, *names: str) -> None:
    """Raise InputError unless each of these fields is above 0."""
    for name in names:
        if (value := getattr(method, name)) <= 0:
            raise InputError(f"field {name} of {method.name} is {value!r}; it must be positive")
