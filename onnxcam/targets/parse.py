"""Targets from text: the first form that matches reads it, the registry knows all forms."""

from __future__ import annotations

from collections.abc import Sequence

from onnxcam.errors import NameNotFoundError, TargetError
from onnxcam.targets.base import Target
from onnxcam.targets.registry import forms, list_forms
from onnxcam.targets.text import TargetText


def parse_targets(text: str, labels: Sequence[str] | None) -> list[Target]:
    """Return the targets that a text names, in one of the forms that ``onnxcam.targets.registry.forms`` lists.

    Args:
        text: for instance ``predicted``, ``3``, ``tabby``, ``top:3``, ``3-5``, ``box:12``.
        labels: names of the classes.

    Raises:
        TargetError: the text has none of the forms, or there is no such class.
        NameNotFoundError: no such label.
        ImageError: the mask cannot be read.
    """
    keyword, colon, argument = text.partition(":")
    for form in forms():
        if form.keyword and form.keyword == keyword and form.takes_argument == bool(colon):
            if colon and not argument:
                raise TargetError(f"target '{text}' is incomplete; the forms are {list_forms()}")
            return form.parse(TargetText(text, argument, labels, list_forms())) or []
    if not text.strip():
        raise TargetError(f"a target is empty; the forms are {list_forms()}")
    return _without_keyword(TargetText(text, "", labels, list_forms()))


def _without_keyword(text: TargetText) -> list[Target]:
    """Return what the first form without a keyword makes of a text; the first error counts if none matches."""
    first_error: NameNotFoundError | TargetError | None = None
    for form in forms():
        if form.keyword:
            continue
        try:
            found = form.parse(text)
        except (NameNotFoundError, TargetError) as error:
            first_error = first_error or error
        else:
            if found is not None:
                return found
    if first_error is None:
        raise TargetError(f"target '{text.whole}' has none of the forms {list_forms()}")
    if ":" in text.whole:
        raise type(first_error)(f"{first_error}; the forms of a target are {list_forms()}")
    raise first_error
