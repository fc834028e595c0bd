"""The table of derivatives: which rule differentiates which operator, from which opset on."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView

# One cotangent per input; None where the operator has no gradient for it. Trailing inputs may be left out.
Cotangents: TypeAlias = Sequence[Var | None]
RuleFunction: TypeAlias = Callable[[Builder, NodeView, Any], Cotangents]
Registered = TypeVar("Registered", bound=RuleFunction)


@dataclass(frozen=True)
class Rule:
    """How the cotangents of one operator's inputs follow from those of its outputs.

    Attributes:
        function: writes the nodes. It receives the cotangent of the first output, or with ``all_outputs`` a list of the
            cotangents of all of them, None where an output has none.
        domain: operator set; empty for ONNX's main one.
        op_type: operator name.
        since: first opset whose operator the rule is right for.
        broadcasts: inputs are broadcast against each other; the driver undoes that in the cotangents.
        all_outputs: the rule handles cotangents of every output.
        partial: None stands for an input that receives nothing, on purpose; what is computed for it alone is left out.
        inputs: positions of those that the rule differentiates; None for all.
    """

    function: RuleFunction
    domain: str
    op_type: str
    since: int
    broadcasts: bool = False
    all_outputs: bool = False
    partial: bool = False
    inputs: frozenset[int] | None = None


Key: TypeAlias = tuple[str, str]  # domain and operator
Table: TypeAlias = MappingProxyType[Key, tuple[Rule, ...]]

_RULES: dict[tuple[str, str], list[Rule]] = {}
_ZERO: dict[tuple[str, str], str] = {}
_REFUSED: dict[tuple[str, str], str] = {}
_CONSTANT_OUTPUTS: dict[tuple[str, str], frozenset[int]] = {}


def vjp(
    *op_types: str,
    domain: str = "",
    since: int = 1,
    broadcasts: bool = False,
    all_outputs: bool = False,
    inputs: Sequence[int] | None = None,
) -> Callable[[Registered], Registered]:
    """Register a rule for one or more operators; a second rule for the same operator and opset is an error."""

    def register(function: Registered) -> Registered:
        for op_type in op_types:
            rules = _RULES.setdefault((domain, op_type), [])
            if any(rule.since == since for rule in rules):
                raise RuntimeError(f"two rules for {op_type} since opset {since}")
            covered = None if inputs is None else frozenset(inputs)
            rules.append(Rule(function, domain, op_type, since, broadcasts, all_outputs, inputs=covered))
            rules.sort(key=lambda rule: -rule.since)
        return function

    return register


def zero_gradient(*op_types: str, domain: str = "", reason: str) -> None:
    """Declare operators through which no gradient flows, and why."""
    for op_type in op_types:
        if (domain, op_type) in _ZERO:
            raise RuntimeError(f"{op_type} is declared to have no gradient twice")
        _ZERO[domain, op_type] = reason


def refused(*op_types: str, domain: str = "", reason: str) -> None:
    """Declare operators that have a gradient and no rule, and why; messages and tables say so."""
    for op_type in op_types:
        if (domain, op_type) in _REFUSED:
            raise RuntimeError(f"{op_type} is refused twice")
        _REFUSED[domain, op_type] = reason


def refusals() -> MappingProxyType[tuple[str, str], str]:
    """Return the operators without a rule that say why."""
    _load()
    return MappingProxyType(_REFUSED)


def constant_output(op_type: str, *indices: int, domain: str = "") -> None:
    """Declare outputs of an operator that count as constants, though they are computed from its inputs."""
    _CONSTANT_OUTPUTS[domain, op_type] = frozenset(indices)


def constant_outputs(domain: str, op_type: str) -> frozenset[int]:
    """Return the positions of the outputs that count as constants."""
    _load()
    return _CONSTANT_OUTPUTS.get((domain, op_type), frozenset())


@cache
def _load() -> None:
    package = importlib.import_module("onnxcam.autodiff.rules")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    check_declared_once(_RULES.keys(), _ZERO.keys(), _REFUSED.keys())


def check_declared_once(rules: Set[Key], zero: Set[Key], refused: Set[Key]) -> None:
    """Refuse operators, given as (domain, operator), of which two declarations contradict each other.

    Raises:
        RuntimeError: there are such.
    """
    if both := sorted(refused & (rules | zero)):
        raise RuntimeError(f"operators with a derivative are refused: {both}; take them out of rules/refused.py")
    if both := sorted(rules & zero):
        raise RuntimeError(f"operators with a rule have zero_gradient too: {both}; take one of the two away")


def gradient_table() -> Table:
    """Return every rule by (domain, operator), newest first; lay another table over it to propagate something else."""
    _load()
    return MappingProxyType({key: tuple(rules) for key, rules in _RULES.items()})


def zero_gradients() -> MappingProxyType[tuple[str, str], str]:
    """Return the operators through which no gradient flows, with the reason."""
    _load()
    return MappingProxyType(_ZERO)


def find_rule(table: Table, domain: str, op_type: str, opset: int) -> Rule | None:
    """Return the newest rule that is not newer than the model's opset."""
    return next((rule for rule in table.get((domain, op_type), ()) if rule.since <= opset), None)
