"""Names of classes: read a list, find a class by name, refuse a list of the wrong length."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from onnxcam.errors import InputError, NameNotFoundError, TargetError, did_you_mean
from onnxcam.images.text_file import read_text

_WORDNET = re.compile(r"^(n\d{8})(?:[\s_:,]+(.*))?$")
_FILE_LIMIT = 16 << 20
_SHOWN = 4


def load_labels(path: str | Path) -> tuple[str, ...]:
    """Return the class names of a file, in order of their index.

    Text holds one name a line (an empty line is a class without a name), JSON a list of names, or an object from index
    to name or to a list that ends with one, such as ``{"0": ["n01440764", "tench"]}``. WordNet identifiers stay in the
    labels; ``find_label`` and ``label_of`` know them.

    Raises:
        InputError: unreadable, empty, or JSON of another form.
    """
    text = read_text(Path(path), "label file", _FILE_LIMIT)
    if Path(path).suffix.lower() == ".json" or text.lstrip()[:1] in {"[", "{"}:
        labels = _from_json(text, path)
    else:
        labels = tuple(line.strip() for line in text.rstrip().splitlines())
    if not any(labels):
        raise InputError(f"label file {path} holds no names; give one name a line, or a JSON list")
    return labels


def _from_json(text: str, path: str | Path) -> tuple[str, ...]:
    try:
        found = json.loads(text)
        if isinstance(found, dict):
            by_index = {int(key): value for key, value in found.items()}
            found = [by_index[index] for index in range(len(by_index))]
        if not isinstance(found, list):
            raise ValueError("neither a list nor an object")
        return tuple(_one_name(item) for item in found)
    except KeyError as error:
        raise InputError(f"label file {path} has no name for class {error}; number the classes from 0") from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"label file {path}: {error}; give a JSON list of names, or an object from index to name"
        ) from None


def _one_name(item: Any) -> str:
    if isinstance(item, list) and item and all(isinstance(part, str) for part in item):
        return " ".join(part.strip() for part in item)
    if not isinstance(item, str):
        raise ValueError(f"{item!r} is no name")
    return item.strip()


def label_of(index: int, labels: Sequence[str] | None) -> str:
    """Return the name of a class without its WordNet identifier, or ``class 7`` where there are no names.

    Raises:
        TargetError: there are names, but none of that index.
    """
    if labels is None:
        return f"class {index}"
    if not 0 <= index < len(labels):
        raise TargetError(f"class {index} has no label: there are {len(labels)}, from 0 to {len(labels) - 1}")
    return _split(labels[index])[1] or f"class {index}"


def find_label(name: str, labels: Sequence[str]) -> int:
    """Return the index of the class that a name means.

    Tried in turn, and the first that finds anything decides: the label as written; the whole label or its WordNet
    identifier, without regard to case and with ``_`` as a blank; one of its comma-separated synonyms; whole words
    inside it.

    Raises:
        NameNotFoundError: nothing matches (near names are suggested), or several labels match equally well.
    """
    for matches in _matchers(name):
        found = [index for index, label in enumerate(labels) if matches(label)]
        if len(found) == 1:
            return found[0]
        if found:
            raise NameNotFoundError(f"'{name}' could be {_list(found, labels)}; give more of the name, or the index")
    known = {synonym for label in labels for synonym in _synonyms(label)}
    raise NameNotFoundError(f"no label is named '{name}'{did_you_mean(_fold(name), sorted(known))}")


def _matchers(name: str) -> Iterator[Callable[[str], bool]]:
    """Yield conditions for a label to be the one that is named, the strictest first."""
    wanted = _fold(name)
    if not wanted:
        return
    yield lambda label: label == name
    yield lambda label: wanted in {_fold(part) for part in (label, *_split(label))}
    yield lambda label: wanted in _synonyms(label)
    words = re.compile(rf"(?<!\w){re.escape(wanted)}(?!\w)")
    yield lambda label: words.search(_fold(label)) is not None


def check_labels(labels: Sequence[str], classes: int) -> None:
    """Raise an InputError unless there is one label a class; lists that are shifted by one are the usual reason."""
    count = len(labels)
    if count == classes:
        return
    hint = "give the list that the model was trained with"
    if count == classes + 1:
        hint = (
            f"all names would be off by one if the first ('{labels[0]}') is a background class: remove it from the list"
        )
    elif count == classes - 1:
        hint = "the model may have a background class 0: add a name for it before the first, or all would be off by one"
    raise InputError(f"{count} labels for a model of {classes} classes; {hint}")


def _split(label: str) -> tuple[str, str]:
    """Return the WordNet identifier, possibly empty, and the rest."""
    match = _WORDNET.match(label)
    return (match[1], (match[2] or match[1]).strip()) if match else ("", label)


def _synonyms(label: str) -> set[str]:
    return {_fold(part) for part in _split(label)[1].split(",")} - {""}


def _fold(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


def _list(indices: Sequence[int], labels: Sequence[str]) -> str:
    shown = [f"{label_of(index, labels)} ({index})" for index in indices[:_SHOWN]]
    more = len(indices) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
