"""Write nodes as expressions: ``op.Where(y > 0, dy, 0)`` and ``dy * y * (1 - y)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.errors import UnsupportedError
from onnxcam.graph.operators import Trait, operators_with

Dim: TypeAlias = int | str | None
Shape: TypeAlias = tuple[Dim, ...]
Operand: TypeAlias = "Var | float | Sequence[int] | npt.NDArray[np.generic] | None"
AttributeValue: TypeAlias = "int | float | str | Sequence[int]"

_TO_BOOL = operators_with(Trait.TRUTH)
_TO_INT64 = operators_with(Trait.SIZES | Trait.POSITIONS)
_TYPE_FROM_SECOND = {"Where"}


class UnknownShapeError(Exception):
    """A rule needs a shape or a type that is not known; the driver adds which node, and reports it."""


def shape_of(value: ir.Value) -> Shape | None:
    """Return the known shape of a value: an int, a symbol's name or None per axis; None when the rank is unknown."""
    if value.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else dim.value for dim in value.shape)


class Var:
    """A value of the graph being written, with arithmetic.

    Python numbers take the type of the value they meet; lists of numbers are int64, as ONNX wants shapes and axes.
    """

    __slots__ = ("op", "value")

    def __init__(self, op: Builder, value: ir.Value) -> None:
        self.op = op
        self.value = value

    @property
    def dtype(self) -> ir.DataType:
        """Element type; every value that a builder makes has one."""
        if self.value.dtype is None:
            raise UnknownShapeError(f"the type of '{self.value.name}' is not known")
        return self.value.dtype

    @property
    def shape(self) -> Shape | None:
        """Known shape, or None."""
        return shape_of(self.value)

    def __add__(self, other: Operand) -> Var:
        return self.op.Add(self, other)

    def __radd__(self, other: Operand) -> Var:
        return self.op.Add(other, self)

    def __sub__(self, other: Operand) -> Var:
        return self.op.Sub(self, other)

    def __rsub__(self, other: Operand) -> Var:
        return self.op.Sub(other, self)

    def __mul__(self, other: Operand) -> Var:
        return self.op.Mul(self, other)

    def __rmul__(self, other: Operand) -> Var:
        return self.op.Mul(other, self)

    def __truediv__(self, other: Operand) -> Var:
        return self.op.Div(self, other)

    def __rtruediv__(self, other: Operand) -> Var:
        return self.op.Div(other, self)

    def __pow__(self, other: Operand) -> Var:
        return self.op.Pow(self, other)

    def __matmul__(self, other: Operand) -> Var:
        return self.op.MatMul(self, other)

    def __neg__(self) -> Var:
        return self.op.Neg(self)

    def __gt__(self, other: Operand) -> Var:
        return self.op.Greater(self, other)

    def __ge__(self, other: Operand) -> Var:
        return self.op.GreaterOrEqual(self, other)

    def __lt__(self, other: Operand) -> Var:
        return self.op.Less(self, other)

    def __le__(self, other: Operand) -> Var:
        return self.op.LessOrEqual(self, other)


class Builder:
    """Appends nodes to a graph; any ONNX operator is a method: ``op.Conv(x, w, strides=[2, 2])``."""

    def __init__(self, graph: ir.Graph, prefix: str = "grad") -> None:
        """Write into ``graph``; every new name starts with ``prefix`` and is unique."""
        self.graph = graph
        self.prefix = prefix
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Var] = {}
        self._casts: dict[tuple[ir.Value, ir.DataType], Var] = {}
        self._taken = {value.name for node in graph.all_nodes() for value in node.outputs}
        self._taken |= {node.name for node in graph.all_nodes()}
        self._taken |= {value.name for value in graph.inputs} | set(graph.initializers)
        self._counter = 0

    def __getattr__(self, op_type: str) -> _Emitter:
        if not op_type[:1].isupper():
            raise AttributeError(op_type)
        return _Emitter(self, op_type)

    def unique(self, hint: str) -> str:
        """Return a name that no value of the graph has."""
        while True:
            self._counter += 1
            name = f"{self.prefix}/{hint}_{self._counter}"
            if name not in self._taken:
                self._taken.add(name)
                return name

    def wrote(self, value: ir.Value) -> bool:
        """Whether a value is a result of this builder's, by its name."""
        return bool(value.name) and str(value.name).startswith(f"{self.prefix}/")

    def claim(self, name: str) -> str:
        """Return a name that has to be exactly this, after renaming the inner value that has it, if any.

        Raises:
            UnsupportedError: the model's interface has that name already.
        """
        interface = [*self.graph.inputs, *self.graph.outputs]
        if any(value.name == name for value in interface) or name in self.graph.initializers:
            raise UnsupportedError(
                f"the model has an input, an output or a weight named '{name}' already; rename it first"
            )
        if name in self._taken:
            for value in (value for node in self.graph.all_nodes() for value in node.outputs if value.name == name):
                value.name = self.unique(name)
        self._taken.add(name)
        return name

    def var(self, value: ir.Value) -> Var:
        """Wrap an existing value."""
        return Var(self, value)

    def const(self, array: npt.ArrayLike, dtype: ir.DataType | None = None) -> Var:
        """Return an initializer that holds ``array``; equal constants are stored once."""
        data = np.asarray(array)
        if dtype is not None:
            data = data.astype(dtype.numpy())
        key = (data.dtype.str, data.shape, data.tobytes())
        if key not in self._constants:
            value = ir.Value(
                name=self.unique("const"),
                shape=ir.Shape(data.shape),
                type=ir.TensorType(ir.DataType.from_numpy(data.dtype)),
            )
            value.const_value = ir.tensor(data, name=value.name)
            self.graph.register_initializer(value)
            self._constants[key] = Var(self, value)
        return self._constants[key]

    def ints(self, values: Sequence[int] | npt.NDArray[np.integer]) -> Var:
        """Return an int64 constant of rank 1: shapes, axes, indices."""
        return self.const(np.asarray(values, dtype=np.int64))

    def cast(self, x: Var, dtype: ir.DataType) -> Var:
        """Return ``x`` as ``dtype``, itself if it is already; each cast is written once."""
        if x.dtype == dtype:
            return x
        key = (x.value, dtype)
        if key not in self._casts:
            self._casts[key] = self.emit("Cast", [x], {"to": int(dtype)}, dtype=dtype, shape=x.shape)
        return self._casts[key]

    def emit(
        self,
        op_type: str,
        operands: Sequence[Operand],
        attributes: dict[str, AttributeValue] | None = None,
        *,
        dtype: ir.DataType | None = None,
        shape: Shape | None = None,
    ) -> Var:
        """Append one node with one output and return it."""
        kind = next((o.dtype for o in operands if isinstance(o, Var) and o.dtype != ir.DataType.BOOL), None)
        inputs = [None if o is None else self._operand(o, kind).value for o in operands]
        output = ir.Value(
            name=self.unique(op_type),
            type=ir.TensorType(dtype or _result_type(op_type, inputs)),
            shape=None if shape is None else ir.Shape(shape),
        )
        node = ir.node(op_type, inputs, attributes or {}, outputs=[output], name=output.name)
        self.graph.append(node)
        return Var(self, output)

    def _operand(self, operand: Var | float | Sequence[int] | npt.NDArray[np.generic], kind: ir.DataType | None) -> Var:
        if isinstance(operand, Var):
            return operand
        if isinstance(operand, np.ndarray):
            return self.const(operand)
        if isinstance(operand, (int, float)):
            return self.const(operand, kind)
        return self.ints(operand)


class _Emitter:
    """One operator, ready to be called."""

    __slots__ = ("_builder", "_op_type")

    def __init__(self, builder: Builder, op_type: str) -> None:
        self._builder = builder
        self._op_type = op_type

    def __call__(self, *operands: Operand, **attributes: AttributeValue) -> Var:
        return self._builder.emit(self._op_type, operands, attributes)


def _result_type(op_type: str, inputs: Sequence[ir.Value | None]) -> ir.DataType:
    if op_type in _TO_BOOL:
        return ir.DataType.BOOL
    if op_type in _TO_INT64:
        return ir.DataType.INT64
    source = inputs[1 if op_type in _TYPE_FROM_SECOND else 0]
    if source is None or source.dtype is None:
        raise TypeError(f"the result type of {op_type} is not known")
    return source.dtype
