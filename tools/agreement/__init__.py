"""How far our maps are from those of other code: what ``tests/oracles/held`` compares, measured for the manual."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

MEASURED = Path(__file__).parent / "measured.json"


class Row(TypedDict):
    """One comparison: of which method, with which code at which revision, what is compared, and the difference."""

    method: str
    code: str
    revision: str
    whose: str
    about: str
    difference: float


class Measured(TypedDict):
    """All comparisons, and for the methods that are held against no other code why not."""

    date: str
    rows: list[Row]
    alone: dict[str, str]


def measured() -> Measured:
    """Return what was measured last."""
    found: Measured = json.loads(MEASURED.read_text())
    return found


def key(row: Row) -> tuple[str, ...]:
    """Return what says which comparison a row is; versions of libraries are those of the machine."""
    revision = "" if row["whose"] == "library" else row["revision"]
    return (row["method"], row["code"], revision, row["about"])
