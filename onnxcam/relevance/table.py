"""A composite as a table of rules for the backward pass, which then propagates relevance in place of a gradient.

Every operator is listed here by how relevance passes it. One that is not listed has no rule, and is refused: its
derivative is no relevance.
"""

from __future__ import annotations

from types import MappingProxyType

import onnx_ir as ir

from onnxcam.autodiff.paths import between, kinds, located
from onnxcam.autodiff.registry import Rule, RuleFunction, Table, gradient_table
from onnxcam.autodiff.rule_search import with_inner
from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.operators import Trait, operators_with
from onnxcam.relevance.composite import Composite
from onnxcam.relevance.fixed_positions import FILLING
from onnxcam.relevance.normalisation_rules import CENTRING
from onnxcam.relevance.operator_rules import OperatorRules
from onnxcam.relevance.origins import LINEAR, Origins

# Numbers are moved, copied or chosen: their derivative passes relevance on, and what is copied receives the sum.
MOVEMENT = operators_with(Trait.MOVES | Trait.PICKS) | {"If", "ScatterElements", "ScatterND", "Where"}
# Functions of one value, element-wise, and normalisations that subtract no mean of what they read: relevance passes
# them unchanged. For BatchNormalization that is the proportional rule without its bias; for the others the identity
# rule of AttnLRP (Achtibat et al. 2024, prop. 3.4), where the divisor counts as constant.
PASSING = operators_with(Trait.FUNCTION | Trait.COPIES | Trait.CONVERTS | Trait.NORMALISES) | {"Neg", "LogSoftmax"}
# Linear in each of their inputs: relevance is divided in proportion to what each number adds.
PROPORTIONAL = ("AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "Resize", "Einsum", "CumSum", "Col2Im")
_SUMS = ("Add", "Sub", "Sum", "Mean")


def relevance_table(composite: Composite) -> Table:
    """Return the rules of one backward pass; the table remembers the graph that it is used on."""
    rules = OperatorRules(composite, Origins())
    gradients = gradient_table()
    table = {("", name): gradients["", name] for name in MOVEMENT if ("", name) in gradients}
    parts: dict[str, RuleFunction] = dict.fromkeys(LINEAR, rules.linear)
    parts |= dict.fromkeys((name for name in PASSING if ("", name) in gradients), rules.passed)
    parts |= dict.fromkeys(FILLING, rules.filling)
    parts |= dict.fromkeys(CENTRING, rules.normalisations.operator)
    parts |= dict.fromkeys(PROPORTIONAL, rules.in_proportion)
    parts |= dict.fromkeys(_SUMS, rules.sum) | dict.fromkeys(("Mul", "Div"), rules.product)
    parts |= dict.fromkeys(("Max", "Min"), rules.extremum)
    parts |= {"MaxPool": rules.max_pool, "Softmax": rules.softmax}
    broadcasts = {*_SUMS, "Mul", "Div", "Max", "Min", "PRelu"}
    for name, function in parts.items():
        table["", name] = (Rule(function, "", name, 1, name in broadcasts, partial=True),)
    return MappingProxyType(table)


def refuse_unlisted(model: ir.Model, of: str, to: str, table: Table) -> None:
    """Refuse operators that have a derivative and no rule of relevance, by that name.

    Raises:
        UnsupportedError: there are some between two values; all are listed.
    """
    graph, gradients = model.graph, gradient_table()
    nodes, values = between(graph, [find_value(graph, to)], find_value(graph, of))
    unlisted = kinds(
        node
        for node in with_inner(nodes, values)
        if (key := (node.domain, node.op_type)) in gradients and key not in table
    )
    if unlisted:
        listed = "; ".join(located(kind, names) for kind, names in unlisted.items())
        raise UnsupportedError(
            f"relevance has no rule for {len(unlisted)} operator(s) that it has to pass: {listed}; "
            "use a gradient method such as hires-cam or gradient-x-input"
        )
