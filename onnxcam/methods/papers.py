"""The papers of the methods: ``papers.bib``, read by key."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from onnxcam.errors import NameNotFoundError, did_you_mean

# papers.bib keeps to one form: an entry starts in the first column and ends with a brace of its own, a field is a line.
_ENTRY = re.compile(r"^@\w+\{(?P<key>[^,]+),\n.*?^\}$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  (?P<name>\w+) = \{(?P<value>.*)\},$", re.MULTILINE)


@cache
def papers() -> MappingProxyType[str, str]:
    """Return every BibTeX entry by key, in the order of the file."""
    text = files("onnxcam.methods").joinpath("papers.bib").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for entry in _ENTRY.finditer(text):
        if entry["key"] in found:
            raise RuntimeError(f"papers.bib has two entries {entry['key']}; remove one")
        found[entry["key"]] = entry[0]
    return MappingProxyType(found)


def bibtex(key: str) -> str:
    """Return the BibTeX entry of that key, the ``paper`` of a method.

    Raises:
        NameNotFoundError: no paper has that key; near keys are suggested.
    """
    if key not in papers():
        raise NameNotFoundError(f"no paper has the key '{key}'{did_you_mean(key, papers())}")
    return papers()[key]


def citation(key: str) -> str:
    """Return one line: authors, year, title, where it appeared, and its identifier.

    Raises:
        NameNotFoundError: no paper has that key; near keys are suggested.
    """
    field = _fields(key)
    venue = field.get("journal") or field.get("booktitle")
    parts = [f"{_authors(field['author'])} ({field['year']})", field["title"], venue, _identifier(field)]
    return ". ".join(part for part in parts if part)


def _fields(key: str) -> dict[str, str]:
    """Return an entry's fields; braces, which protect capitals in BibTeX, are dropped."""
    return {match["name"]: re.sub("[{}]", "", match["value"]) for match in _FIELD.finditer(bibtex(key))}


def _authors(names: str) -> str:
    """Return ``Ann``, ``Ann & Bob`` or ``Ann et al.`` from BibTeX's list of names."""
    surnames = [name.partition(",")[0] for name in names.split(" and ")]
    if len(surnames) > 2 or "others" in surnames:
        return f"{surnames[0]} et al."
    return " & ".join(surnames)


def _identifier(field: dict[str, str]) -> str:
    if "doi" in field:
        return f"https://doi.org/{field['doi']}"
    if "eprint" in field:
        return f"https://arxiv.org/abs/{field['eprint']}"
    return field.get("howpublished", "")
