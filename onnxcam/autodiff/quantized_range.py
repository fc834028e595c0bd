"""Which rules say what lies in the range of a quantised type."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Literal, TypeAlias

from onnxcam.autodiff.registry import Table, gradient_table
from onnxcam.autodiff.rules.quantized import rounded_range
from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.quantization import MICROSOFT

QuantizedRange: TypeAlias = Literal["unrounded", "rounded"]


def gradient_rules(quantized_range: QuantizedRange) -> Table:
    """Return the table of rules, in which QuantizeLinear asks for the range before rounding or after it.

    Raises:
        UnsupportedError: another word.
    """
    table = gradient_table()
    if quantized_range == "unrounded":
        return table
    if quantized_range != "rounded":
        raise UnsupportedError(f"quantized_range is 'unrounded' or 'rounded', not '{quantized_range}'")
    keys = [("", "QuantizeLinear"), (MICROSOFT, "QuantizeLinear")]
    changed = {key: tuple(replace(rule, function=rounded_range) for rule in table[key]) for key in keys}
    return MappingProxyType({**table, **changed})
