"""The table of the manual: one row a method, what its marks mean below."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from onnxcam.methods.base import Method
from onnxcam.methods.registry import method
from onnxcam.methods.registry import methods as registered
from tools.truth.measure import Measured, Refused, error, no_better

CONTROL = "random-cam"
_ROW = re.compile(r"\| `([^`]+)`")
_NOTE = re.compile(r"\[\^([^\]]+)\]: ")
_COLUMNS = ("mass inside", "hits", "time")


@dataclass(frozen=True)
class SetResult:
    """What was found on one set.

    Attributes:
        name: of the set.
        caption: what it is.
        images: how many it has.
        methods: what each is worth, or why it does not apply.
        fixed: rows that no method makes, such as chance.
    """

    name: str
    caption: str
    images: int
    methods: Mapping[str, Measured | Refused]
    fixed: Mapping[str, Measured]


def table(sets: Sequence[SetResult], methods: Mapping[str, Method], old: str = "") -> str:
    """Return what was measured on, the table, and what its marks mean.

    Args:
        sets: a group of columns each.
        methods: with the fields that were measured.
        old: a table whose rows stay for methods that were not measured now.
    """
    heads = ["method", *(f"{found.name}: {what}" for found in sets for what in _COLUMNS)]
    rows = {**_lines(old, _ROW), **{name: _row(sets, name, made) for name, made in methods.items()}}
    fixed = [joined([f"({name})", *(c for found in sets for c in _cells(found.fixed[name]))]) for name in sets[0].fixed]
    notes = {name: note for name, note in _lines(old, _NOTE).items() if name not in methods}
    notes |= {name: note for name in methods if (note := _note(sets, name))}
    blocks = [
        [f"- {found.name}: {found.caption}" for found in sets],
        [joined(heads), "|---" * len(heads) + "|", *(rows[name] for name in sorted(rows)), *fixed],
        [f"\\* not above `{CONTROL}` on the same images by two standard errors of the difference"],
        [notes[name] for name in sorted(notes)],
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _lines(text: str, pattern: re.Pattern[str]) -> dict[str, str]:
    """Return the lines that a pattern matches, by the method that it finds there."""
    found = {match[1]: line for line in text.splitlines() if (match := pattern.match(line))}
    return {name: line for name, line in found.items() if name in registered()}


def joined(cells: Sequence[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def _row(sets: Sequence[SetResult], name: str, made: Method) -> str:
    return joined([_title(made), *(cell for found in sets for cell in _method_cells(found, name))])


def _note(sets: Sequence[SetResult], name: str) -> str:
    """Return why a method does not apply to some of the sets, empty if it does."""
    # What to use instead, after the semicolon, is for users.
    reasons = {
        found.name: r.reason.partition(";")[0] for found in sets if isinstance(r := found.methods[name], Refused)
    }
    notes = [f"{reason} ({', '.join(n for n in reasons if reasons[n] == reason)})" for reason in {*reasons.values()}]
    return f"[^{name}]: {'. '.join(sorted(notes))}" if notes else ""


def _title(made: Method) -> str:
    """Return the name, and the fields that are not at their defaults."""
    usual = method(made.name)
    pairs = [(field.name, getattr(made, field.name), getattr(usual, field.name)) for field in fields(made)]
    changed = [f"{name} {now}, not {before}" for name, now, before in pairs if now != before]
    return " ".join([f"`{made.name}`", *(f"({text})" for text in changed)])


def _method_cells(found: SetResult, name: str) -> list[str]:
    """Return the cells of a method on a set: a dash with a footnote where it does not apply."""
    result, control = found.methods[name], found.methods.get(CONTROL)
    if isinstance(result, Refused):
        return [f"-[^{name}]", "-", "-"]
    inside, hits, time = _cells(result)
    if isinstance(control, Measured) and name != CONTROL and no_better(result, control):
        inside += " \\*"
    few = len(result.inside)
    return [f"{inside} (of {few})" if few < found.images else inside, hits, time]


def _cells(result: Measured) -> list[str]:
    mean, deviation = result.inside.mean(), error(result.inside)
    return [
        f"{mean:.3f} +- {deviation:.3f}",
        f"{result.hits.mean():.0%} +- {error(result.hits):.0%}",
        "" if result.ratio is None else f"{result.ratio:.1f}" if result.ratio < 10 else f"{result.ratio:.0f}",
    ]
