"""Tables of the manual: one for each metric, a row for each composite, a column for each network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tools.composites.contenders import CONTENDERS, DEFAULT
from tools.composites.measure import RANDOM, Findings
from tools.truth.table import joined

# Fields of Worth, as they are called.
METRICS: Mapping[str, str] = {
    "deletion": "deletion AUC, low is good",
    "insertion": "insertion AUC, high is good",
    "kept": "share of the score that arrives, median and range",
}


def tables(sets: Sequence[Findings]) -> str:
    """Return what was measured on, a table for each metric, and what its marks mean."""
    blocks = [
        [f"- {found.name}: {found.caption}" for found in sets],
        *(_table(sets, metric) for metric in METRICS),
        [f"Means over the images. \\* not different from `{DEFAULT}` by two standard errors of the difference."],
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks)


def _table(sets: Sequence[Findings], metric: str) -> list[str]:
    titles = [title for title in (*CONTENDERS, RANDOM) if title in sets[0].worth]
    if metric == "kept":
        titles.remove(RANDOM)
    rows = [joined([title, *(_cell(found, metric, title) for found in sets)]) for title in titles]
    return [joined([METRICS[metric], *(found.name for found in sets)]), "|---" * (len(sets) + 1) + "|", *rows]


def _cell(found: Findings, metric: str, title: str) -> str:
    values = getattr(found.worth[title], metric)
    if metric != "kept":
        mean = f"{values.mean():.3f}"
        default = f"`{DEFAULT}`"
        return mean if title == default or found.differs(metric, title, default) else f"{mean} \\*"
    if np.isnan(values).all():
        return "not finite"
    missing = f", {np.isnan(values).sum()} not finite" if np.isnan(values).any() else ""
    return f"{_share(np.nanmedian(values))} ({_share(np.nanmin(values))} to {_share(np.nanmax(values))}{missing})"


def _share(value: float) -> str:
    """Return a share of the score in percent, or as a multiple where it is many times the score."""
    return f"{value:.2g} times" if abs(value) >= 10 else f"{100 * value:.3g}%"
