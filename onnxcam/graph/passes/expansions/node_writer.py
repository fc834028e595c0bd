"""Write the ONNX operators that replace one fused operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.errors import ModelError, UnsupportedError

Operand: TypeAlias = "ir.Value | float | Sequence[int] | None"
Attribute: TypeAlias = "int | float | str | Sequence[int] | ir.Attr"
# Results in the order of the node's outputs; None, or missing at the end, for those that have no counterpart.
Results: TypeAlias = Sequence[ir.Value | None]

# In the names of everything that is written here: no exporter uses it.
EXPANDED = "/expanded/"


class UnknownRankError(Exception):
    """An expansion needs a rank that shape inference has not found yet."""


class NodeWriter:
    """Writes the nodes that replace one node; every ONNX operator is a method."""

    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self.nodes: list[ir.Node] = []
        self._prefix = str(node.outputs[0].name)
        self._numbers = 0

    def __getattr__(self, op_type: str) -> Callable[..., ir.Value]:
        if not op_type[:1].isupper():
            raise AttributeError(op_type)

        def emit(*operands: Operand, **attributes: Attribute) -> ir.Value:
            return self.emit(op_type, operands, attributes)[0]

        return emit

    def emit(
        self, op_type: str, operands: Sequence[Operand], attributes: dict[str, Attribute], outputs: int = 1
    ) -> Sequence[ir.Value]:
        """Append one node and return its outputs; numbers take the type of the first value."""
        like = next((operand for operand in operands if isinstance(operand, ir.Value)), None)
        inputs = [self._value(operand, like) for operand in operands]
        names = [f"{self._prefix}{EXPANDED}{len(self.nodes)}_{op_type}{i or ''}" for i in range(outputs)]
        given = {name: value for name, value in attributes.items() if not isinstance(value, ir.Attr)}
        node = ir.node(op_type, inputs, given, outputs=[ir.Value(name=name) for name in names], name=names[0])
        for attribute in attributes.values():
            if isinstance(attribute, ir.Attr):
                node.attributes.add(attribute)
        self.nodes.append(node)
        return node.outputs

    def _value(self, operand: Operand, like: ir.Value | None) -> ir.Value | None:
        if operand is None or isinstance(operand, ir.Value):
            return operand
        if not isinstance(operand, (int, float)):
            return self.constant(np.asarray(operand, np.int64))
        if like is not None and like.dtype is not None:
            return self.constant(np.asarray(operand, like.dtype.numpy()))
        number = self.constant(np.asarray(operand, np.float32))
        return number if like is None else self.CastLike(number, like)

    def constant(self, array: npt.NDArray[np.generic] | np.generic) -> ir.Value:
        """Return a new initializer."""
        array = np.asarray(array)
        self._numbers += 1
        name = f"{self._prefix}{EXPANDED}const_{self._numbers}"
        dtype = ir.DataType.from_numpy(array.dtype)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(dtype))
        value.const_value = ir.tensor(array, name=name)
        graph = self.node.graph
        if not isinstance(graph, ir.Graph):
            raise TypeError("only nodes of a graph are expanded")
        graph.register_initializer(value)
        return value

    def input(self, index: int) -> ir.Value | None:
        """Return an optional input of the node."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def required(self, index: int) -> ir.Value:
        """Return an input of the node.

        Raises:
            ModelError: it is missing.
        """
        value = self.input(index)
        if value is None:
            raise ModelError(f"{self.node.op_type} '{self.node.name}' has no input {index}; export the model again")
        return value

    def attributes(self, *names: str) -> dict[str, Attribute]:
        """Return those of the named attributes that the node has."""
        return {name: self.node.attributes[name] for name in names if name in self.node.attributes}

    def refuse(self, what: str) -> UnsupportedError:
        """Return the error that says what of the node cannot be written in ONNX's operators."""
        return UnsupportedError(
            f"{self.node.op_type} '{self.node.name}': {what} is not supported; "
            "explain the model as it was before onnxruntime optimised it"
        )


def rank(value: ir.Value) -> int:
    """Return the rank of a value.

    Raises:
        UnknownRankError: it is not known yet.
    """
    if value.shape is None:
        raise UnknownRankError(str(value.name))
    return len(value.shape)
