"""Tables that are written from the registries."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields

from onnxcam.autodiff.catalogue import operators
from onnxcam.methods.base import Method
from onnxcam.methods.papers import citation
from onnxcam.methods.registry import methods, wrappers
from onnxcam.metrics.registry import metrics
from onnxcam.report.registry import formats
from onnxcam.targets.registry import forms, kinds
from tools.docs import page, placed

# The methods that the README shows; the manual has all.
_TEN = (
    *("hires-cam", "grad-cam", "grad-cam++", "layer-cam", "eigen-cam", "score-cam", "ablation-cam", "fg-cam"),
    *("lrp", "integrated-gradients"),
)


def ten_methods() -> str:
    """Return a table of the methods that most people ask for."""
    rows = ["| method | what it shows | source |", "|---|---|---|"]
    rows += [f"| `{name}` | {_summary(methods()[name])} | {_source(methods()[name].paper)} |" for name in _TEN]
    return "\n".join(rows)


def methods_table() -> str:
    """Return the table of methods."""
    rows = ["| method | what it shows | where | source |", "|---|---|---|---|"]
    for name, method in methods().items():
        needs = method().needs
        where = {"layer": needs.at, "biases": "input and biases", "attentions": "attention"}[needs.reads]
        where = "layer before GAP + linear" if needs.head != "any" else "layers" if needs.layers else where
        rows.append(f"| `{name}` | {_summary(method)} | {where} | {_source(method.paper)} |")
    return "\n".join(rows)


def wrappers_table() -> str:
    """Return the table of wrappers, with how the command line writes their defaults."""
    rows = ["| wrapper | what it shows | fields | source |", "|---|---|---|---|"]
    for name, wrapper in wrappers().items():
        own = [(field.name, field.default) for field in fields(wrapper) if field.default is not MISSING]
        texts = [f"{field}={','.join(map(str, value)) if isinstance(value, tuple) else value}" for field, value in own]
        written = ":".join([name, ",".join(texts)]).rstrip(":")
        rows.append(f"| `{name}` | {_summary(wrapper)} | `{written}` | {_source(wrapper.paper)} |")
    return "\n".join(rows)


def operators_table() -> str:
    """Return the table of operators."""
    rows = ["| operator | opset | gradient | checked against |", "|---|---|---|---|"]
    for row in operators():
        name = f"{row.domain}:{row.name}" if row.domain else row.name
        said = row.note if row.how == "rule" else f"{row.how}: {row.note}"
        since = "" if row.since is None else f"{row.since}+"
        rows.append(f"| `{name}` | {since} | {said.replace('|', chr(92) + '|')} | {row.checked} |")
    return "\n".join(rows)


def targets_table() -> str:
    """Return the table of the forms in which targets are written."""
    rows = ["| `--target` | what is explained | example | class of `onnxcam.target` |", "|---|---|---|---|"]
    owners = {form.written: kind.__name__ for kind in kinds().values() for form in kind.forms()}
    rows += [f"| `{form.written}` | {form.meaning} | `{form.example}` | `{owners[form.written]}` |" for form in forms()]
    return "\n".join(rows)


def formats_table() -> str:
    """Return the table of what can be written for an image."""
    rows = ["| format | file ends in | default | what it holds |", "|---|---|---|---|"]
    for name, found in formats().items():
        rows.append(f"| `{name}` | `{found.suffix}` | {'yes' if found.default else 'no'} | {found.summary} |")
    return "\n".join(rows)


def metrics_table() -> str:
    """Return the table of metrics."""
    rows = ["| metric | what it says | better | values | needs | source |", "|---|---|---|---|---|---|"]
    for name, found in metrics().items():
        needs = ", ".join(field.name for field in fields(found.needs) if getattr(found.needs, field.name))
        bounds = " to ".join(f"{bound:g}" for bound in found.bounds)
        cells = (f"`{name}`", found.summary().rstrip("."), found.better, bounds, needs, _source(found.paper))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def truth_table() -> str:
    """Return the measured table with a row for every method that there is: a gap for one that was not measured yet."""
    lines = placed(page("known-truth").read_text(), "truth").splitlines()
    rows = {line.split("`")[1]: at for at, line in enumerate(lines) if line.startswith("| `")}
    first, last = min(rows.values()), max(rows.values())
    gap = " |" * (lines[first].count(" | ") + 1)
    body = [lines[rows[name]] if name in rows else f"| `{name}` | not measured yet{gap[2:]}" for name in methods()]
    return "\n".join([*lines[:first], *body, *lines[last + 1 :]])


def _summary(method: type[Method]) -> str:
    return method.summary().rstrip(".")


def _source(paper: str) -> str:
    """Return authors and year, linked to the paper."""
    found = re.match(r"(.*?) \((\d{4})\)\..*?(https?://\S+)$", citation(paper))
    return citation(paper) if found is None else f"[{found[1]} {found[2]}]({found[3]})"
