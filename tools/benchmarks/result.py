"""One measured line of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """What was measured, and whether it is as good as asked for.

    Attributes:
        name: what was measured.
        value: the figure.
        wanted: the bound, in words; empty where there is none.
        holds: whether the figure keeps it.
        unit: of the figure; a ratio has none.
        detail: absolute times or other context.
    """

    name: str
    value: float
    wanted: str = ""
    holds: bool = True
    unit: str = ""
    detail: str = ""

    @property
    def figure(self) -> str:
        """The value with three digits and its unit."""
        return f"{self.value:.3g} {self.unit}".strip()

    def row(self) -> str:
        """Return a line of a Markdown table."""
        mark = "" if not self.wanted else ("yes" if self.holds else "NO")
        return f"| {self.name} | {self.figure} | {self.wanted} | {mark} | {self.detail} |"

    def to_dict(self) -> dict[str, Any]:
        """Return what is kept of it for the manual."""
        return {
            "what": self.name,
            "figure": self.figure,
            "wanted": self.wanted,
            "holds": self.holds,
            "detail": self.detail,
        }


def at_most(name: str, value: float, bound: float, unit: str = "", detail: str = "") -> Result:
    """Return a result that should not exceed a bound."""
    return Result(name, value, f"at most {bound:g}{unit and ' ' + unit}", value <= bound, unit, detail)


def at_least(name: str, value: float, bound: float, unit: str = "", detail: str = "") -> Result:
    """Return a result that should reach a bound."""
    return Result(name, value, f"at least {bound:g}{unit and ' ' + unit}", value >= bound, unit, detail)
