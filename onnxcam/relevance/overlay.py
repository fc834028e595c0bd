"""Rules laid over the gradient's: what is not overlaid keeps its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from onnxcam.autodiff.registry import Rule, RuleFunction, Table, gradient_table


def overlay(rules: Mapping[str, RuleFunction], *, broadcasts: frozenset[str] = frozenset()) -> Table:
    """Return the gradient table with the rules of some operators of ONNX's main domain replaced.

    Args:
        rules: by operator.
        broadcasts: operators whose rule leaves it to the driver to undo broadcasting.
    """
    table = dict(gradient_table())
    for op_type, function in rules.items():
        table["", op_type] = (Rule(function, "", op_type, 1, op_type in broadcasts),)
    return MappingProxyType(table)
