"""Tables of the manual: one for each metric, a row for each contender, a column for each size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnxcam.attribution.resolution import Size, size_text
from tools.resolution.contenders import CONTENDERS, FINE, PIXELS
from tools.resolution.measure import Findings
from tools.truth.table import joined

# Fields of Worth, as they are called.
METRICS: Mapping[str, str] = {
    "insertion": "insertion AUC, high is good",
    "deletion": "deletion AUC, low is good",
    "inside": "mass inside the truth, high is good",
}


def tables(sets: Sequence[Findings]) -> str:
    """Return what was measured on, a table for each metric, and what its marks mean."""
    blocks = [
        [f"- {found.name}: {found.caption}" for found in sets],
        *(_table(sets, metric) for metric in METRICS),
        [
            f"Means over the images. \\* not different from {FINE} of the same size on the same images by two standard "
            "errors of the difference. - there is no map of that size."
        ],
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks)


def _table(sets: Sequence[Findings], metric: str) -> list[str]:
    columns = [(found, size) for found in sets for size in found.sizes]
    heads = [METRICS[metric], *(f"{found.name} {size_text(size)}" for found, size in columns)]
    rows = [
        joined([title, *(_cell(found, metric, title, size) for found, size in columns)])
        for title in (*CONTENDERS, PIXELS)
    ]
    return [joined(heads), "|---" * len(heads) + "|", *rows]


def _cell(found: Findings, metric: str, title: str, size: Size) -> str:
    if (title, size) not in found.worth:
        return "-"
    mean = f"{getattr(found.worth[title, size], metric).mean():.3f}"
    return mean if title == FINE or differs(found, metric, title, size) else f"{mean} \\*"


def differs(found: Findings, metric: str, title: str, size: Size) -> bool:
    """Return whether a contender is better or worse than FG-CAM of that size by two standard errors."""
    gain, error = found.gain(metric, (title, size), (FINE, size))
    return abs(gain) > 2 * error
