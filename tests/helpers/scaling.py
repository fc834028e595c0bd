"""Rules that are wrong on purpose."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from onnxcam.autodiff.builder import Builder
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, Rule, Table, gradient_table


def scaled(rule: Rule, index: int) -> Table:
    """Return the table with one result of one rule wrong by a thousandth."""

    def function(op: Builder, node: NodeView, dy: Any) -> Cotangents:
        results = list(rule.function(op, node, dy))
        result = results[index]
        results[index] = None if result is None else result * 1.001
        return results

    return MappingProxyType(
        {**gradient_table(), (rule.domain, rule.op_type): (replace(rule, function=function, since=1),)}
    )
