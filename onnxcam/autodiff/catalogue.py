"""The table of operators, from the registry: what has a rule, what has no gradient, what is refused, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import onnx

from onnxcam.autodiff.registry import Rule, gradient_table, refusals, zero_gradients
from onnxcam.graph.analysis.quantization import MICROSOFT
from onnxcam.graph.passes.expansions.registry import expansions

How: TypeAlias = Literal["rule", "definition", "expansion", "no gradient", "refused"]

# Rounding has no derivative: rules that pass it by are compared with the network before it was quantised.
_STRAIGHT_THROUGH = ("onnxcam.autodiff.rules.quantized", "onnxcam.autodiff.rules.qlinear")
# Definitions that pass ONNX's node tests; a test keeps this list right.
CHECKED_DEFINITIONS = frozenset(
    {
        *("Attention", "RotaryEmbedding", "CenterCropPad", "CausalConvWithState", "SwiGLU"),
        *("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"),
    }
)
_DOMAINS = ("", MICROSOFT, "ai.onnx.preview")


@dataclass(frozen=True)
class Operator:
    """One row.

    Attributes:
        domain: operator set; empty for ONNX's main one.
        name: of the operator.
        since: first opset that the rule is right for; None where there is no rule.
        how: ``rule``; ``definition`` where it is taken apart as ONNX defines it; ``expansion`` where
            it is written in ONNX's operators before anything else; ``no gradient``; ``refused``.
        note: the formula, or the reason.
        checked: what the tests compare it with.
    """

    domain: str
    name: str
    since: int | None
    how: How
    note: str
    checked: str

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON takes it."""
        return asdict(self)


def operators() -> list[Operator]:
    """Return every operator that is known, by domain and name."""
    rules = [_ruled(rule) for rules in gradient_table().values() for rule in rules]
    still = [Operator(d, name, None, "no gradient", reason, "") for (d, name), reason in zero_gradients().items()]
    refused = [Operator(d, name, None, "refused", reason, "") for (d, name), reason in refusals().items()]
    expanded = [
        Operator(MICROSOFT, name, None, "expansion", _formula(function.__doc__), "the fused kernel, or torch")
        for name, function in expansions().items()
    ]
    known = {(row.domain, row.name) for row in (*rules, *still, *refused, *expanded)}
    defined = [row for row in _defined() if (row.domain, row.name) not in known]
    rows = [*rules, *still, *refused, *expanded, *defined]
    return sorted(rows, key=lambda row: (row.domain, row.name, row.since or 0))


def _ruled(rule: Rule) -> Operator:
    through = rule.function.__module__ in _STRAIGHT_THROUGH
    checked = "the float network" if through else "central differences, onnxruntime"
    return Operator(rule.domain, rule.op_type, rule.since, "rule", _formula(rule.function.__doc__), checked)


def _formula(doc: str | None) -> str:
    """Return the first sentence of a docstring."""
    return " ".join((doc or "").split()).partition(". ")[0].rstrip(".")


def _defined() -> list[Operator]:
    """Return the operators of the newest opset that ONNX defines through others."""
    found: dict[tuple[str, str], Any] = {}
    for schema in onnx.defs.get_all_schemas():
        entry: Any = schema
        if entry.domain in _DOMAINS and (entry.has_function or entry.has_context_dependent_function):
            found[entry.domain, entry.name] = entry
    note = "taken apart as ONNX defines it"
    return [
        Operator(*key, None, "definition", note, "ONNX's node tests" if key[1] in CHECKED_DEFINITIONS else "")
        for key in found
    ]
