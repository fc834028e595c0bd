"""Registry of expansions: functions that write a fused operator as ONNX's operators."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import onnx_ir as ir

from onnxcam.graph.passes import expansions as package
from onnxcam.graph.passes.expansions.node_writer import NodeWriter, Results

Expansion: TypeAlias = Callable[[NodeWriter, ir.Node], Results]

_EXPANSIONS: dict[str, Expansion] = {}


def expansion(*op_types: str) -> Callable[[Expansion], Expansion]:
    """Register how an operator of com.microsoft is written in ONNX's."""

    def register(function: Expansion) -> Expansion:
        for op_type in op_types:
            if op_type in _EXPANSIONS:
                raise RuntimeError(f"two expansions of {op_type}")
            _EXPANSIONS[op_type] = function
        return function

    return register


@cache
def expansions() -> dict[str, Expansion]:
    """Return every expansion by operator; every module of this package is searched."""
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(_EXPANSIONS)
