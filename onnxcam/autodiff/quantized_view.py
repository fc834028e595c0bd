"""Quantised nodes seen as nodes on real numbers, so that the rules of the real operators serve them too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView

# A value exactly at the end of the range is inside it, also when rounding says otherwise.
_SLACK = 1e-3


class RealView(NodeView):
    """A node whose operands and result are shown as given; attributes are its own."""

    def __init__(
        self, op: Builder, node: NodeView, operands: Sequence[Var], positions: Sequence[int], result: Var
    ) -> None:
        """Show ``operands``, which take the part of the inputs of ``node`` at ``positions``."""
        super().__init__(op, node.node, lambda value: False)
        self._outer = node
        self._operands = operands
        self._positions = positions
        self._result = result

    @property
    def count(self) -> int:
        """Number of operands."""
        return len(self._operands)

    def has(self, index: int) -> bool:
        """Whether there is such an operand."""
        return index < len(self._operands)

    def needs(self, index: int) -> bool:
        """Whether a gradient of that operand is wanted."""
        return index < len(self._positions) and self._outer.needs(self._positions[index])

    def raw(self, index: int) -> Var:
        """The operand."""
        return self._operands[index]

    def output(self, index: int) -> Var:
        """The result."""
        if index:
            raise IndexError(f"{self.node.op_type} has one result")
        return self._result

    def constant(self, index: int) -> npt.NDArray[np.generic] | None:
        """No operand's numbers are fixed as real numbers."""
        return None


def real(op: Builder, q: Var, scale: Var | None, zero_point: Var | None) -> Var:
    """Return ``(q - zero point) * scale``, in float32; scale and zero point broadcast against ``q``."""
    value = _float(op, q)
    if zero_point is not None:
        value = op.emit("Sub", [value, _float(op, zero_point)], shape=q.shape)
    return value if scale is None else op.emit("Mul", [value, _float(op, scale)], shape=q.shape)


def _float(op: Builder, x: Var) -> Var:
    return x if x.dtype == ir.DataType.DOUBLE else op.cast(x, ir.DataType.FLOAT)


def limits(dtype: ir.DataType) -> tuple[float, float]:
    """Return the smallest and the largest number of a quantised type."""
    if dtype in (ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT8E4M3FNUZ):
        top = 448.0 if dtype == ir.DataType.FLOAT8E4M3FN else 240.0
    elif dtype in (ir.DataType.FLOAT8E5M2, ir.DataType.FLOAT8E5M2FNUZ):
        top = 57344.0
    elif dtype == ir.DataType.FLOAT4E2M1:
        top = 6.0
    else:
        bits = dtype.bitwidth
        signed = dtype.name.startswith("INT")
        return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    return -top, top


def where_inside(op: Builder, dy: Var, x: Var, dtype: ir.DataType, *, reached: bool) -> Var:
    """Return ``dy`` where a number is inside the range of a quantised type, else 0.

    Args:
        op: where to write.
        dy: cotangent.
        x: the number, in float; either before it was cut to the range or after.
        dtype: the type.
        reached: ``x`` is the cut number: at the end of the range it counts as outside.
    """
    low, high = limits(dtype)
    slack = -0.5 if reached else _SLACK
    return op.Where(op.And(x > low - slack, x < high + slack), dy, 0)
