"""Inputs and outputs as a file declares them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from onnxcam.graph.analysis.values import data_inputs


@dataclass(frozen=True)
class DeclaredValue:
    """One input or output of a file.

    Attributes:
        name: in the graph.
        dtype: as in ``float32``, or ``unknown``.
        shape: numbers, symbols by name, None where a size is open; None as a whole where the file says nothing.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in terms of JSON."""
        return {"name": self.name, "dtype": self.dtype, "shape": None if self.shape is None else list(self.shape)}


def declared_inputs(graph: ir.Graph) -> tuple[DeclaredValue, ...]:
    """Return what a user feeds, in order."""
    return tuple(_declared(value) for value in data_inputs(graph))


def declared_outputs(graph: ir.Graph) -> tuple[DeclaredValue, ...]:
    """Return what the file gives, in order."""
    return tuple(_declared(value) for value in graph.outputs)


def _declared(value: ir.Value) -> DeclaredValue:
    shape = None if value.shape is None else tuple(d if isinstance(d, int) else d.value for d in value.shape)
    return DeclaredValue(str(value.name), "unknown" if value.dtype is None else _type_name(value.dtype), shape)


def _type_name(dtype: ir.DataType) -> str:
    """Return NumPy's name of a type, which users know, or ONNX's where NumPy has none."""
    try:
        return str(dtype.numpy())
    except TypeError:
        return dtype.name.lower()
