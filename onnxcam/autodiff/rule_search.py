"""The rule of each node, and the nodes that have none."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import onnx_ir as ir

from onnxcam.autodiff.bodies import sources
from onnxcam.autodiff.paths import kinds, located, paths
from onnxcam.autodiff.registry import Rule, Table, find_rule, refusals
from onnxcam.errors import NoRuleError
from onnxcam.graph.analysis.subgraphs import bodies

# A gradient passes their bodies.
_DIFFERENTIATED = frozenset({"If", "Scan"})
# Versions of the operator sets; only the outermost graph has them.
Opsets: TypeAlias = Mapping[str, int]


def rule_of(opsets: Opsets, node: ir.Node, table: Table) -> Rule | None:
    """Return the rule of one node, or None if the table has none for it."""
    return find_rule(table, node.domain, node.op_type, opsets.get(node.domain, 1))


def covers(rule: Rule | None, node: ir.Node, wanted: Container[ir.Value]) -> bool:
    """Whether a rule gives a cotangent to every wanted input of a node."""
    if rule is None or rule.inputs is None:
        return rule is not None
    return all(index in rule.inputs for index, value in enumerate(node.inputs) if value is not None and value in wanted)


def with_inner(nodes: Iterable[ir.Node], wanted: Container[ir.Value]) -> Iterator[ir.Node]:
    """Yield nodes, and the nodes in their branches that a gradient passes before it reaches the wanted values."""
    return (node for node, _ in _with_wanted(nodes, wanted))


def _with_wanted(
    nodes: Iterable[ir.Node], wanted: Container[ir.Value]
) -> Iterator[tuple[ir.Node, Container[ir.Value]]]:
    """Yield these nodes, each with those values of its graph whose gradient is wanted."""
    for node in nodes:
        yield node, wanted
        if not node.domain and node.op_type in _DIFFERENTIATED:
            for body in bodies(node):
                inner, values = paths(body, sources(node, body, wanted), body.outputs)
                yield from _with_wanted(inner, values)


def without_rules(
    opsets: Opsets, nodes: Iterable[ir.Node], wanted: Container[ir.Value], table: Table
) -> dict[str, list[str]]:
    """Return the names of nodes without a rule, in branches too, by operator.

    A rule that does not cover a wanted input counts as none.
    """
    return kinds(
        node for node, values in _with_wanted(nodes, wanted) if not covers(rule_of(opsets, node, table), node, values)
    )


def find_rules(
    opsets: Opsets, nodes: Sequence[ir.Node], wanted: Container[ir.Value], table: Table
) -> dict[ir.Node, Rule]:
    """Return the rule of each node.

    Raises:
        NoRuleError: operators without a rule, all of them in one message.
    """
    if missing := without_rules(opsets, nodes, wanted, table):
        listed = "; ".join(_no_rule(kind, names, table) for kind, names in missing.items())
        raise NoRuleError(
            f"no gradient rule for {len(missing)} operator(s) between the layer and the score: {listed}; "
            "choose a later layer (closer to the output)"
        )
    found = {node: rule_of(opsets, node, table) for node in nodes}
    return {node: rule for node, rule in found.items() if rule is not None}


def _no_rule(kind: str, names: list[str], table: Table) -> str:
    domain, _, op_type = kind.rpartition(":")
    reason = refusals().get((domain, op_type))
    for rule in table.get((domain, op_type), ()):
        if rule.inputs is not None:
            reason = f"it has one for its input {', '.join(map(str, sorted(rule.inputs)))} alone"
    return located(kind, names) + (f": {reason}" if reason else "")
