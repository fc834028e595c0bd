"""Targets as people write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from onnxcam.errors import NameNotFoundError, TargetError
from onnxcam.images import read_image
from onnxcam.targets.batch import class_index
from onnxcam.targets.kinds import Box, Class, Difference, Target

FORMS = "INDEX | LABEL | predicted | top:K | A-B | box:I[:VALUE] | mask:FILE:CLASS"

_KINDS = ("top", "box", "mask")
_INTEGER = re.compile(r"[+-]?[0-9]{1,1000}")


def parse_targets(text: str, labels: Sequence[str] | None) -> list[Target]:
    """Return the targets that a text names; only ``top:K`` names more than one.

    Args:
        text: ``predicted``, a class index or label, ``top:3`` (each of the three predicted classes), ``3-5`` or
            ``cat-dog`` (the first class less the second), ``box:12`` (the best score of a detection), ``box:12:5`` (one
            of its numbers), ``mask:FILE.png:15`` (a class over the bright places of a picture of what the model sees).
        labels: names of the classes.

    Raises:
        TargetError: the text is none of these, or there is no such class.
        NameNotFoundError: no such label.
        ImageError: the mask cannot be read.
    """
    if text == "predicted":
        return [Class()]
    kind, mark, rest = text.partition(":")
    if kind in _KINDS and mark and not rest:
        raise TargetError(f"target '{text}' is not whole; the forms are {FORMS}")
    if kind == "top" and rest:
        return [Class(rank=rank) for rank in range(_number(rest, text, least=1))]
    if kind == "box" and rest:
        numbers = [_number(part, text) for part in rest.split(":")]
        if len(numbers) > 2:
            raise TargetError(f"target '{text}' has too many parts; write box:INDEX or box:INDEX:VALUE")
        return [Box(*numbers)]
    if kind == "mask" and rest:
        file, _, name = rest.rpartition(":")
        if not file:
            raise TargetError(f"target '{text}' names no class; write mask:FILE:CLASS")
        return [Class(_class(name, labels), np.asarray(read_image(Path(file)).convert("L")) > 127)]
    return [_class_or_difference(text, labels)]


def _class_or_difference(text: str, labels: Sequence[str] | None) -> Target:
    """A label may hold a dash, so what is a class as it stands is one."""
    if _INTEGER.fullmatch(text):
        return Class(class_index(int(text), labels))
    if not text.strip():
        raise TargetError(f"a target is empty; the forms are {FORMS}")
    splits = [(text[:at], text[at + 1 :]) for at, letter in enumerate(text) if letter == "-" and 0 < at < len(text) - 1]
    try:
        return Class(class_index(text, labels))
    except (NameNotFoundError, TargetError):
        for positive, negative in splits:
            try:
                return Difference(_class(positive, labels), (_class(negative, labels),))
            except (NameNotFoundError, TargetError):
                continue
        raise


def _class(text: str, labels: Sequence[str] | None) -> int:
    return class_index(int(text) if _INTEGER.fullmatch(text) else text, labels)


def _number(text: str, whole: str, least: int = 0) -> int:
    if not text.isdecimal() or len(text) > 9 or int(text) < least:
        raise TargetError(f"'{text}' in the target '{whole}' is no number from {least} on; the forms are {FORMS}")
    return int(text)
