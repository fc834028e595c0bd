"""Types of values: real numbers, quantised or not, as opposed to sizes, positions and conditions."""

from __future__ import annotations

from collections.abc import Container

import onnx_ir as ir

from onnxcam.graph.operators import Trait, operators_with

FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
# Numbers too small for sizes and positions: where a network has them, they stand for real numbers.
QUANTIZED = frozenset(
    {
        *(ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16),
        *(ir.DataType.INT4, ir.DataType.UINT4, ir.DataType.INT2, ir.DataType.UINT2),
        *(ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT8E4M3FNUZ, ir.DataType.FLOAT8E5M2, ir.DataType.FLOAT8E5M2FNUZ),
        ir.DataType.FLOAT4E2M1,
    }
)
_SUMS = operators_with(Trait.INTEGER_SUM)


def carries_signal(node: ir.Node, value: ir.Value, found: Container[ir.Value]) -> bool:
    """Whether an output of a node holds real numbers, as they are or quantised.

    A 32-bit integer does where it is a sum of quantised products or computed from integers that do; else it is a size
    or a position, as 64-bit integers always are.

    Args:
        node: that makes it.
        value: the output.
        found: values that are known to depend on the image.
    """
    if value.dtype is None or value.dtype in FLOATS or value.dtype in QUANTIZED:
        return True
    if value.dtype != ir.DataType.INT32:
        return False
    return node.op_type in _SUMS or any(
        entry is not None and entry in found and (entry.dtype in QUANTIZED or entry.dtype == ir.DataType.INT32)
        for entry in node.inputs
    )


# The distance from 1 to the next number.
_UNITS = {ir.DataType.FLOAT16: 2.0**-10, ir.DataType.BFLOAT16: 2.0**-7}
_UNIT_OF_FLOAT32 = 2.0**-23


def coarsest_unit(graph: ir.Graph) -> float:
    """Return the distance from 1 to the next number, of the coarsest type that the graph computes in."""
    types = {value.dtype for node in graph for value in node.outputs if value.dtype is not None}
    return max((_UNITS.get(dtype, _UNIT_OF_FLOAT32) for dtype in types), default=_UNIT_OF_FLOAT32)
