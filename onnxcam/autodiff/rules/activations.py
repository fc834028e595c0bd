"""Element-wise functions of one input; most derivatives are written with the output, which frees the input."""

from __future__ import annotations

import math

from onnxcam.autodiff import lowering
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, vjp, zero_gradient

zero_gradient("Sign", "Floor", "Ceil", "Round", "Hardmax", reason="constant between its steps")


@vjp("Relu")
def relu(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = max(x, 0): dx = dy where y > 0. Subgradient 0 at 0."""
    # From y, so that the runtime can still fuse the Relu into what gives it x.
    if lowering.may_multiply(op, dy):
        return (dy * lowering.step(op, node.y),)
    return (op.Where(node.y > 0, dy, 0),)


@vjp("LeakyRelu")
def leaky_relu(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x where x >= 0, else alpha x."""
    return (op.Where(node.x > 0, dy, dy * node.number("alpha", 0.01)),)


@vjp("PRelu", broadcasts=True)
def prelu(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x where x >= 0, else slope * x."""
    x, slope = node.input(0), node.input(1)
    return op.Where(x > 0, dy, dy * slope), op.Where(x > 0, 0, dy * x)


@vjp("ThresholdedRelu")
def thresholded_relu(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x where x > alpha, else 0."""
    return (op.Where(node.x > node.number("alpha", 1.0), dy, 0),)


@vjp("Clip")
def clip(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = min(max(x, low), high): dx = dy strictly inside, and at a bound that bound has it."""
    dx, low, high = dy, node.constant(1), node.constant(2)
    known = (low is None) != node.has(1) and (high is None) != node.has(2)
    if known and lowering.may_multiply(op, dy):
        dx = dx if low is None else dx * lowering.step(op, node.y, float(low))
        return (dx if high is None else dx * lowering.step_down(op, node.y, float(high)),)
    computed = node.rounds and (node.needs(1) or node.needs(2))
    y = op.Clip(*[node.input(i) if node.has(i) else None for i in range(3)]) if computed else node.y
    if node.has(1):
        dx = op.Where(y > node.input(1), dx, 0)
    if node.has(2):
        dx = op.Where(y < node.input(2), dx, 0)
    return dx, *_bounds(op, node, y, dy)


def _bounds(op: Builder, node: NodeView, y: Var, dy: Var) -> tuple[Var | None, Var | None]:
    """Return what the bounds receive from all that they hold; of two that cross it is the upper one that holds."""
    dlow = dhigh = None
    if node.needs(1):
        held = op.Where(y > node.input(1), 0, dy)
        held = op.Where(y < node.input(2), held, 0) if node.has(2) else held
        dlow = op.ReduceSum(held, keepdims=0)
    if node.needs(2):
        dhigh = op.ReduceSum(op.Where(y < node.input(2), 0, dy), keepdims=0)
    return dlow, dhigh


@vjp("Elu")
def elu(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x where x > 0, else alpha (e^x - 1): there dy/dx = y + alpha."""
    return (op.Where(node.x > 0, dy, dy * (node.y + node.number("alpha", 1.0))),)


@vjp("Celu")
def celu(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x where x > 0, else alpha (e^(x/alpha) - 1): there dy/dx = y / alpha + 1."""
    return (op.Where(node.x > 0, dy, dy * (node.y / node.number("alpha", 1.0) + 1)),)


@vjp("Selu")
def selu(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = gamma x where x > 0, else gamma alpha (e^x - 1): there dy/dx = y + gamma alpha."""
    alpha, gamma = node.number("alpha", 1.67326319217681884765625), node.number("gamma", 1.05070102214813232421875)
    return (op.Where(node.x > 0, dy * gamma, dy * (node.y + alpha * gamma)),)


@vjp("Sigmoid")
def sigmoid(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = y (1 - y)."""
    return (dy * node.y * lowering.complement(op, node.y),)


@vjp("HardSigmoid")
def hard_sigmoid(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = min(max(alpha x + beta, 0), 1): slope alpha strictly inside."""
    alpha = node.number("alpha", 0.2)
    if 0 < alpha <= 1 and lowering.may_multiply(op, dy):
        inside = lowering.step(op, node.y) * lowering.step_down(op, node.y, 1)
        return (dy * lowering.scaled_mask(op, inside, alpha),)
    slope = dy * alpha
    return (op.Where(op.And(node.y > 0, node.y < 1), slope, 0),)


@vjp("HardSwish", since=14)
def hard_swish(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x min(max(x/6 + 1/2, 0), 1): slope x/3 + 1/2 between -3 and 3, then 0 or 1."""
    x = node.x
    if lowering.may_multiply(op, dy):
        # The same as h + x h' with h = min(max(x/6 + 1/2, 0), 1), whose slope h' is 1/6 where x^2 < 9.
        inside = lowering.scaled_mask(op, lowering.step_down(op, x * x, 9), 1 / 6)
        return (dy * (op.HardSigmoid(x, alpha=1 / 6, beta=0.5) + x * inside),)
    return (op.Where(x <= -3, 0, op.Where(x >= 3, dy, dy * (x / 3 + 0.5))),)


@vjp("Tanh")
def tanh(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = 1 - y^2."""
    return (dy * (1 - node.y * node.y),)


@vjp("Softplus")
def softplus(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = log(1 + e^x): dy/dx = sigmoid(x)."""
    return (dy * op.Sigmoid(node.x),)


@vjp("Softsign")
def softsign(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x / (1 + |x|): dy/dx = (1 - |y|)^2."""
    slope = 1 - op.Abs(node.y)
    return (dy * slope * slope,)


@vjp("Mish", since=18)
def mish(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x tanh(softplus(x))."""
    x = node.x
    t = op.Tanh(op.Softplus(x))
    return (dy * (t + x * (1 - t * t) * op.Sigmoid(x)),)


@vjp("Swish", since=24)
def swish(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x sigmoid(alpha x)."""
    alpha = node.number("alpha", 1.0)
    s = op.Sigmoid(node.x * alpha)
    return (dy * (s + node.x * alpha * s * (1 - s)),)


def normal_cdf(op: Builder, x: Var) -> Var:
    """Return the share of a standard normal distribution below x."""
    return (op.Erf(x * math.sqrt(0.5)) + 1) * 0.5


@vjp("Gelu", since=20)
def gelu(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x cdf(x): dy/dx = cdf(x) + x pdf(x); or its tanh approximation, differentiated as it is."""
    x = node.x
    if node.text("approximate", "none") == "none":
        pdf = op.Exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
        return (dy * (normal_cdf(op, x) + x * pdf),)
    c, k = math.sqrt(2 / math.pi), 0.044715
    t = op.Tanh((x + x * x * x * k) * c)
    inner = (x * x * (3 * k) + 1) * c
    return (dy * ((t + 1) * 0.5 + x * 0.5 * (1 - t * t) * inner),)


@vjp("Erf")
def erf(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = 2 / sqrt(pi) e^(-x^2)."""
    return (dy * op.Exp(-(node.x * node.x)) * (2 / math.sqrt(math.pi)),)


@vjp("Exp")
def exp(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = y."""
    return (dy * node.y,)


@vjp("Log")
def log(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = 1 / x."""
    return (dy / node.x,)


@vjp("Sqrt")
def sqrt(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = 1 / (2 y)."""
    return (dy * 0.5 / node.y,)


@vjp("Reciprocal")
def reciprocal(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = -y^2."""
    return (-dy * node.y * node.y,)


@vjp("Neg")
def neg(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = -1."""
    return (-dy,)


@vjp("Abs")
def absolute(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """dy/dx = sign(x), 0 at 0."""
    return (dy * op.Sign(node.x),)


@vjp("Shrink", since=9)
def shrink(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = x -+ bias outside [-lambd, lambd], else 0."""
    return (op.Where(op.Abs(node.x) > node.number("lambd", 0.5), dy, 0),)
