"""Circular and hyperbolic functions."""

from __future__ import annotations

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, vjp


@vjp("Sin")
def sin(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = cos x."""
    return (dy * op.Cos(node.x),)


@vjp("Cos")
def cos(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = -sin x."""
    return (-dy * op.Sin(node.x),)


@vjp("Tan")
def tan(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = 1 + y^2."""
    return (dy * (node.y * node.y + 1),)


@vjp("Asin")
def asin(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = 1 / sqrt(1 - x^2)."""
    return (dy / op.Sqrt(1 - node.x * node.x),)


@vjp("Acos")
def acos(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = -1 / sqrt(1 - x^2)."""
    return (-dy / op.Sqrt(1 - node.x * node.x),)


@vjp("Atan")
def atan(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = 1 / (1 + x^2)."""
    return (dy / (node.x * node.x + 1),)


@vjp("Sinh")
def sinh(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = cosh x = sqrt(1 + y^2)."""
    return (dy * op.Sqrt(node.y * node.y + 1),)


@vjp("Cosh")
def cosh(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = sinh x = (e^x - e^-x) / 2."""
    return (dy * (op.Exp(node.x) - op.Exp(-node.x)) * 0.5,)


@vjp("Asinh")
def asinh(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = 1 / sqrt(x^2 + 1)."""
    return (dy / op.Sqrt(node.x * node.x + 1),)


@vjp("Acosh")
def acosh(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = 1 / sqrt(x^2 - 1)."""
    return (dy / op.Sqrt(node.x * node.x - 1),)


@vjp("Atanh")
def atanh(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = 1 / (1 - x^2)."""
    return (dy / (1 - node.x * node.x),)
