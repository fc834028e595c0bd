"""Kinds of targets by name, and the forms in which they are written. Light enough for ``--help``."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from onnxcam.discovery import find_classes
from onnxcam.targets.base import Form, Target

_KINDS = "onnxcam.targets.kinds"


@cache
def kinds() -> MappingProxyType[str, type[Target]]:
    """Return every class in a module of ``onnxcam.targets.kinds`` by its name, in alphabetical order."""
    return find_classes(Target, "kind of target", _KINDS)  # type: ignore[type-abstract]


@cache
def forms() -> tuple[Form, ...]:
    """Return every form in which a target is written: first those without a keyword, in the order they are tried.

    Raises:
        RuntimeError: two forms share a keyword.
    """
    found = [form for kind in kinds().values() for form in kind.forms()]
    keywords = [form.keyword for form in found if form.keyword]
    if repeated := {keyword for keyword in keywords if keywords.count(keyword) > 1}:
        raise RuntimeError(f"two forms of targets begin with {', '.join(sorted(repeated))}; rename one")
    return tuple(sorted(found, key=lambda form: bool(form.keyword)))


def list_forms() -> str:
    """Return all forms in one line, for messages."""
    return " | ".join(form.written for form in forms())


def explain_forms() -> str:
    """Return all forms with what they mean in one line, for ``--help``."""
    return ", ".join(f"{form.written} ({form.meaning})" for form in forms())
