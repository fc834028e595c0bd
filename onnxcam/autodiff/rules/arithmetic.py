"""Functions of several inputs, broadcast against each other; the driver undoes the broadcasting."""

from __future__ import annotations

from onnxcam.autodiff import lowering
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, vjp


@vjp("Add", broadcasts=True)
def add(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = a + b."""
    return dy, dy


@vjp("Sub", broadcasts=True)
def sub(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = a - b."""
    return dy, -dy if node.needs(1) else None


@vjp("Mul", broadcasts=True)
def mul(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = a b."""
    a, b = node.input(0), node.input(1)
    return (
        lowering.product(op, dy, b, a) if node.needs(0) else None,
        lowering.product(op, dy, a, b) if node.needs(1) else None,
    )


@vjp("Div", broadcasts=True)
def div(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = a / b: da = dy / b, db = -dy y / b."""
    da = dy / node.input(1)
    return da, -da * node.y if node.needs(1) else None


@vjp("Pow", broadcasts=True)
def power(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = a^b: da = dy b a^(b-1), 0 where b = 0; db = dy y log(a), 0 where a = 0."""
    a, exponent = node.input(0), op.cast(node.input(1), dy.dtype)
    return (
        _power_base(op, node, dy, a, exponent) if node.needs(0) else None,
        dy * op.Where(a > 0, node.y * op.Log(op.Where(a > 0, a, 1)), 0) if node.needs(1) else None,
    )


def _power_base(op: Builder, node: NodeView, dy: Var, a: Var, exponent: Var) -> Var:
    fixed = node.constant(1)
    if fixed is not None and (fixed == 2).all():
        return dy * a * 2
    if fixed is not None and (fixed != 0).all():
        return dy * exponent * op.Pow(a, exponent - 1)
    slope = exponent * op.Pow(op.Where(op.Equal(exponent, 0), 1, a), exponent - 1)
    return dy * slope


@vjp("Where", since=9, broadcasts=True)
def where(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = a where the condition holds, else b."""
    condition = node.raw(0)
    return (
        None,
        op.Where(condition, dy, 0) if node.needs(1) else None,
        op.Where(condition, 0, dy) if node.needs(2) else None,
    )


@vjp("Sum", broadcasts=True)
def total(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = sum of all inputs."""
    return [dy] * node.count


@vjp("Mean", broadcasts=True)
def mean(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = mean of all inputs."""
    count = node.count
    return [dy * (1 / count)] * count


@vjp("Max", "Min", broadcasts=True)
def extremum(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = largest (smallest) of the inputs; where several are, they share the cotangent evenly."""
    inputs = [node.input(i) for i in range(node.count)]
    y = op.emit(node.node.op_type, inputs) if node.rounds else node.y
    hits = [op.cast(op.Equal(x, y), dy.dtype) for x in inputs]
    share = dy / op.Sum(*hits) if node.count > 1 else dy
    return [share * hit for hit in hits]
