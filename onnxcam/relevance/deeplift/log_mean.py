"""DeepLIFT's rule of softmax: exact, positive where softmax's own derivative is, and unmoved by a common shift.

With the logarithmic mean ``L(a, b) = (a - b) / (log a - log b)``, ``y = exp(x - log s)`` and ``s = sum(exp x)``:

    d log s = sum_i w_i dx_i,  w_i = L(e^x_i, e^x'_i) / L(s, s')
    dy_i = L(y_i, y'_i) (dx_i - d log s)

which are the rescale rules of exponential, sum and logarithm, one after the other.
"""

from __future__ import annotations

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.reduced import reduction
from onnxcam.autodiff.registry import Cotangents, Rule
from onnxcam.relevance.deeplift.ends import moved

# Where logarithms differ by less, the mean is a series: the quotient would lose digits.
_NEAR = 0.1


def softmax(plain: Rule, op: Builder, node: NodeView, twin: NodeView, dy: Var) -> Cotangents:
    """y = e^(x - log s)."""
    w, step, rise = _weights(op, node, twin, [node.integer("axis", -1)])
    passed = dy * _log_mean(op, node.y, twin.y, step - rise)
    return (passed - w * op.ReduceSum(passed, [node.integer("axis", -1)], keepdims=1),)


def log_softmax(plain: Rule, op: Builder, node: NodeView, twin: NodeView, dy: Var) -> Cotangents:
    """y = x - log s."""
    axis = [node.integer("axis", -1)]
    return (dy - _weights(op, node, twin, axis)[0] * op.ReduceSum(dy, axis, keepdims=1),)


def log_sum_exp(plain: Rule, op: Builder, node: NodeView, twin: NodeView, dy: Var) -> Cotangents:
    """y = log s."""
    over = reduction(op, node)
    return (dy,) if over is None else (over.restored(dy) * _weights(op, node, twin, over.axes)[0],)


def _weights(op: Builder, node: NodeView, twin: NodeView, axes: list[int] | Var) -> tuple[Var, Var, Var]:
    """Return ``w``, how far ``x`` has moved, and how far ``log s`` has."""
    x, x0 = node.x, twin.x
    top = op.ReduceMax(op.Max(x, x0), axes, keepdims=1)
    top = op.Where(op.IsInf(top), 0, top)
    e, e0 = op.Exp(x - top), op.Exp(x0 - top)
    s, s0 = op.ReduceSum(e, axes, keepdims=1), op.ReduceSum(e0, axes, keepdims=1)
    own, own0 = (_log_sum(op, value, axes) for value in (x, x0))
    step, rise = moved(op, node, twin, 0), own - own0
    whole = _log_mean(op, s, s0, rise)
    return _log_mean(op, e, e0, step) / op.Where(op.Equal(whole, 0), 1, whole), step, rise


def _log_sum(op: Builder, x: Var, axes: list[int] | Var) -> Var:
    """Return ``log s`` with a shift of its own: the sum of the other end's shift may be 0 in floating point."""
    top = op.ReduceMax(x, axes, keepdims=1)
    top = op.Where(op.IsInf(top), 0, top)
    return op.Log(op.ReduceSum(op.Exp(x - top), axes, keepdims=1)) + top


def _log_mean(op: Builder, a: Var, b: Var, apart: Var) -> Var:
    """Return ``L(a, b)``, where the logarithms of the two are ``apart``."""
    near = op.Abs(apart) < _NEAR
    square = apart * apart
    series = op.Sqrt(a) * op.Sqrt(b) * (square * (square * (1 / 1920) + 1 / 24) + 1)
    return op.Where(near, series, (a - b) / op.Where(near, 1, apart))
