"""What each method was held against, as ``python -m tools.agreement --write`` measured it."""

from __future__ import annotations

from functools import cache

from tools.agreement import Measured, Row, measured


@cache
def _kept() -> Measured:
    return measured()


def held_against(name: str) -> str:
    """Return the table of a method or wrapper: code, what is compared, and the largest difference."""
    kept = _kept()
    rows = [row for row in kept["rows"] if row["method"] == name]
    if not rows:
        return "Not held against other code yet: `python -m tools.agreement --write` measures it."
    head = "| held against | what is compared | largest difference |\n|---|---|---|"
    others = [_row(row) for row in rows if row["whose"] != "tests"]
    if name in kept["alone"]:
        others = [f"| no other code | {kept['alone'][name]} | |"]
    return "\n".join([head, *others, *(_row(row) for row in rows if row["whose"] == "tests")])


def _row(row: Row) -> str:
    gap = f"{row['difference']:.0e}" if row["difference"] else "0"
    if row["whose"] == "tests":
        return f"| its formula in loops | with every field varied | {gap} |"
    if row["whose"] == "library":
        code = f"{_NAMES.get(row['code'], row['code'])} {row['revision']}"
    else:
        link = f"[{row['code']}](https://github.com/{row['code']}/tree/{row['revision']})"
        code = f"{_WHOSE[row['whose']]}, {link}, revision {row['revision']}"
    return f"| {code} | {row['about']} | {gap} |"


_WHOSE = {"authors": "the authors' code", "others": "code of others"}
# Distributions that people know by another name.
_NAMES = {"grad-cam": "pytorch-grad-cam", "torchcam": "torch-cam"}
