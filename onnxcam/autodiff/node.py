"""What a rule sees of the node it differentiates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.autodiff.builder import Builder, Shape, UnknownShapeError, Var, shape_of
from onnxcam.graph.analysis.subgraphs import captured

_HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def cotangent_type(value: ir.Value) -> ir.DataType:
    """Return the type that gradients of a value are computed in: float64 for doubles, float32 for all else.

    A float16 backward pass underflows to zeros or overflows on common networks, so it runs in float32.
    """
    return ir.DataType.DOUBLE if value.dtype == ir.DataType.DOUBLE else ir.DataType.FLOAT


# Writes the backward pass of a body into the body: where, cotangents of its results, what to differentiate by.
WriteBranch: TypeAlias = "Callable[[Builder, ir.Graph, Sequence[Var | None], Sequence[ir.Value]], list[Var | None]]"


class NodeView:
    """A node of the forward graph, its values ready for arithmetic and its attributes typed.

    ``x``, ``y``, ``input(i)`` and ``output(i)`` come in the type that gradients are computed in, ``raw(i)`` in its own.
    """

    def __init__(
        self, op: Builder, node: ir.Node, needs: Callable[[ir.Value], bool], branch: WriteBranch | None = None
    ) -> None:
        self._op = op
        self._needs = needs
        self._branch = branch
        self.node = node

    @property
    def x(self) -> Var:
        """The first input."""
        return self.input(0)

    @property
    def y(self) -> Var:
        """The first output."""
        return self.output(0)

    @property
    def rounds(self) -> bool:
        """Whether the output is half precision, which may differ from the inputs that it was picked from.

        onnxruntime drops casts there and back, and with them the rounding, of some values and not of others: what a
        rule compares has to come from the same float32 numbers.
        """
        return self.node.outputs[0].dtype in _HALF

    def has(self, index: int) -> bool:
        """Whether the optional input is given."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    @property
    def count(self) -> int:
        """Number of inputs."""
        return len(self.node.inputs)

    def needs(self, index: int) -> bool:
        """Whether a gradient of that input is wanted."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        return value is not None and self._needs(value)

    @property
    def captured(self) -> list[ir.Value]:
        """Values that only the node's branches read; a rule returns their cotangents after those of the inputs."""
        return captured(self.node)

    @property
    def wanted(self) -> list[ir.Value]:
        """The captured values whose gradient is wanted."""
        return [value for value in self.captured if self._needs(value)]

    def differentiate(
        self, op: Builder, body: ir.Graph, dys: Sequence[Var | None], wrt: Sequence[ir.Value]
    ) -> list[Var | None]:
        """Write the backward pass of a body into it, from its results to some of its inputs and the values around it.

        Returns:
            Their cotangents; None for those that receive none.
        """
        if self._branch is None:
            raise TypeError(f"{self.node.op_type} is not differentiated")
        return self._branch(op, body, dys, wrt)

    def raw(self, index: int) -> Var:
        """The input in its own type."""
        value = self.node.inputs[index]
        if value is None:
            raise IndexError(f"{self.node.op_type} has no input {index}")
        return self._op.var(value)

    def input(self, index: int) -> Var:
        """The input, float16 raised to float32."""
        return self._raised(self.raw(index))

    def output(self, index: int) -> Var:
        """The output, float16 raised to float32."""
        return self._raised(self._op.var(self.node.outputs[index]))

    def _raised(self, var: Var) -> Var:
        return self._op.cast(var, ir.DataType.FLOAT) if var.dtype in _HALF else var

    def shape(self, index: int = 0) -> Shape | None:
        """Known shape of an input."""
        return self.raw(index).shape

    def rank(self, index: int = 0) -> int:
        """Rank of an input, which rules need to find their axes.

        Raises:
            UnknownShapeError: shape inference has not found it.
        """
        shape = self.shape(index)
        if shape is None:
            raise UnknownShapeError(f"the rank of its input '{self.raw(index).value.name}' is not known")
        return len(shape)

    def constant(self, index: int) -> npt.NDArray[np.generic] | None:
        """The input's numbers if they are fixed in the file."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        tensor = None if value is None else value.const_value
        return None if tensor is None else tensor.numpy()

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        return self.node.attributes.get_int(name, default)

    def number(self, name: str, default: float) -> float:
        """A float attribute."""
        return self.node.attributes.get_float(name, default)

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        return self.node.attributes.get_string(name, default)

    def integers(self, name: str) -> list[int] | None:
        """A list attribute, or None where it is absent."""
        values = self.node.attributes.get_ints(name, None)
        return None if values is None else list(values)


__all__ = ["NodeView", "UnknownShapeError", "cotangent_type", "shape_of"]
