"""Recurrent layers: what each step's gates were is computed again from the states they gave, for all steps at once.

Only the cell's state and the backward pass itself go from step to step. In the comments h' and c' are the states before
a step, a ``d`` in front of a name is its cotangent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import AttributeValue, Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.registry import Cotangents, vjp
from onnxcam.autodiff.scan import backwards, scan
from onnxcam.errors import UnsupportedError

_X, _W, _R, _B, _LENGTHS, _H, _C, _PEEPHOLES = range(8)
_USUAL = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}


@dataclass(frozen=True)
class _Direction:
    """One direction of a layer, its steps in the order in which it goes through them.

    Attributes:
        op: where to write.
        x: ``[T, N, I]``.
        w: weights of ``x``, ``[gates H, I]``.
        r: weights of the state, ``[gates H, H]``.
        bias: of ``w`` and of ``r``, ``[gates H]`` each.
        y: states, ``[T, N, H]``.
        start: state before the first step, ``[N, H]``.
        dy: their cotangents, ``[T, N, H]``.
        dh: cotangent of the last state, ``[N, H]``.
    """

    op: Builder
    x: Var
    w: Var
    r: Var
    bias: tuple[Var, Var]
    y: Var
    start: Var
    dy: Var
    dh: Var

    @cached_property
    def before(self) -> Var:
        """States before each step, ``[T, N, H]``."""
        return self.shifted(self.start, self.y)

    def shifted(self, start: Var, states: Var) -> Var:
        """Return states one step later, the first one in front."""
        op = self.op
        return op.Concat(op.Unsqueeze(start, [0]), op.Slice(states, [0], [-1], [0]), axis=0)

    def of_x(self) -> Var:
        """Return what the input gives to every gate, ``[T, N, gates H]``."""
        return self.x @ self.op.Transpose(self.w, perm=[1, 0]) + self.bias[0]

    def of_state(self, r: Var | None = None, bias: Var | None = None, state: Var | None = None) -> Var:
        """Return what states give to gates; to all of them where no weights are named."""
        r, bias = (self.r, self.bias[1]) if r is None or bias is None else (r, bias)
        return (self.before if state is None else state) @ self.op.Transpose(r, perm=[1, 0]) + bias

    def parts(self, x: Var, count: int, axis: int = -1) -> list[Var]:
        """Return the gates of a tensor that joins ``count`` of them."""
        ends = [_times(self.op, self.r, 1, i) for i in range(count + 1)]
        return [self.op.Slice(x, ends[i], ends[i + 1], [axis]) for i in range(count)]


# Of one direction and its number: cotangents of all gates, [T, N, gates H], and of the states before the first step.
_Walk: TypeAlias = Callable[[_Direction, int], tuple[Var, Var, Var]]


@vjp("LSTM", since=7, all_outputs=True, inputs=(_X, _H, _C))
def lstm(op: Builder, node: NodeView, dys: list[Var | None]) -> Cotangents:
    """c = f c' + i g, h = o tanh(c) with gates i, o, f, g of x and h': dc and dh go from the last step to the first."""
    _refuse(node)
    starts, ends = _states(op, node, _C), _ends(op, node, dys, 2)

    def walk(one: _Direction, which: int) -> tuple[Var, Var, Var]:
        i, o, f, g = one.parts(one.of_x() + one.of_state(), 4)
        i, o, f, g = op.Sigmoid(i), op.Sigmoid(o), op.Sigmoid(f), op.Tanh(g)
        _, (c,) = scan(
            op, [starts[which]], [f, i * g], lambda _, states, parts: ([c := states[0] * parts[0] + parts[1]], [c])
        )
        t = op.Tanh(c)
        # What each gate's cotangent is dc or dh times: the steps below only multiply and add.
        of_c = [g * i * (1 - i), one.shifted(starts[which], c) * f * (1 - f), i * (1 - g * g)]
        of_h = t * o * (1 - o)

        def step(inside: Builder, states: list[Var], parts: list[Var]) -> tuple[list[Var], list[Var]]:
            dy, down, keep, at_i, at_f, at_g, at_o = parts
            dh = states[0] + dy
            dc = states[1] + dh * down
            gates = inside.Concat(dc * at_i, dh * at_o, dc * at_f, dc * at_g, axis=-1)
            return [gates @ one.r, dc * keep], [gates]

        slices = [backwards(op, part) for part in (one.dy, o * (1 - t * t), f, *of_c, of_h)]
        (dh, dc), (gates,) = scan(op, [one.dh, ends[which]], slices, step)
        return backwards(op, gates), dh, dc

    dx, dhs, dcs = _walked(op, node, dys, walk)
    return dx, None, None, None, None, dhs, dcs


@vjp("GRU", since=7, all_outputs=True, inputs=(_X, _H))
def gru(op: Builder, node: NodeView, dys: list[Var | None]) -> Cotangents:
    """h = (1 - z) n + z h' with gates z, r of x and h', and n of x and what r lets through of h'."""
    _refuse(node)
    behind = bool(node.integer("linear_before_reset", 0))

    def walk(one: _Direction, _: int) -> tuple[Var, Var, Var]:
        xz, xr, xn = one.parts(one.of_x(), 3)
        rz, rr, rn = one.parts(one.r, 3, axis=0)
        bz, br, bn = one.parts(one.bias[1], 3, axis=0)
        z, r = op.Sigmoid(xz + one.of_state(rz, bz)), op.Sigmoid(xr + one.of_state(rr, br))
        q = one.of_state(rn, bn) if behind else one.before
        n = op.Tanh(xn + (r * q if behind else one.of_state(rn, bn, r * q)))
        at_z, at_n, at_r = (one.before - n) * z * (1 - z), (1 - z) * (1 - n * n), q * r * (1 - r)

        def step(inside: Builder, states: list[Var], parts: list[Var]) -> tuple[list[Var], list[Var]]:
            dy, z, r, at_z, at_n, at_r = parts
            dh = states[0] + dy
            dz, dn = dh * at_z, dh * at_n
            # The reset stands behind the weights (r q) or in front of them (r h').
            through = (dn * r) @ rn if behind else (dn @ rn)
            dr = (dn if behind else through) * at_r
            back = dh * z + dz @ rz + dr @ rr + (through if behind else through * r)
            return [back], [inside.Concat(dz, dr, dn, axis=-1)]

        (dh,), (gates,) = scan(op, [one.dh], [backwards(op, v) for v in (one.dy, z, r, at_z, at_n, at_r)], step)
        return backwards(op, gates), dh, dh

    dx, dhs, _ = _walked(op, node, dys, walk)
    return dx, None, None, None, None, dhs


@vjp("RNN", since=7, all_outputs=True, inputs=(_X, _H))
def rnn(op: Builder, node: NodeView, dys: list[Var | None]) -> Cotangents:
    """h = tanh of what x and h' give."""
    _refuse(node)

    def walk(one: _Direction, _: int) -> tuple[Var, Var, Var]:
        def step(inside: Builder, states: list[Var], parts: list[Var]) -> tuple[list[Var], list[Var]]:
            gates = (states[0] + parts[0]) * parts[1]
            return [gates @ one.r], [gates]

        (dh,), (gates,) = scan(op, [one.dh], [backwards(op, v) for v in (one.dy, 1 - one.y * one.y)], step)
        return backwards(op, gates), dh, dh

    dx, dhs, _ = _walked(op, node, dys, walk)
    return dx, None, None, None, None, dhs


def _walked(
    op: Builder, node: NodeView, dys: list[Var | None], walk: _Walk
) -> tuple[Var | None, Var | None, Var | None]:
    """Return dx and the cotangents of the states before the first step, each direction by a walk of its own."""
    dxs, dhs, dcs = [], [], []
    for which in range(_count(node)):
        one = _direction(op, node, dys, which)
        gates, dh, dc = walk(one, which)
        dx = gates @ one.w
        dxs.append(backwards(op, dx) if _is_reverse(node, which) else dx)
        dhs.append(dh)
        dcs.append(dc)
    dx = _steps_second(op, node, dxs[0] if len(dxs) == 1 else dxs[0] + dxs[1])
    return dx, _beside(op, node, dhs) if node.has(_H) else None, _beside(op, node, dcs) if node.has(_C) else None


def _direction(op: Builder, node: NodeView, dys: list[Var | None], which: int) -> _Direction:
    """Bring what belongs to one direction into the order of its steps."""
    x = _steps_second(op, node, node.x)
    w, r = (op.Gather(node.input(index), op.const(np.int64(which)), axis=0) for index in (_W, _R))
    y = _of_direction(op, node, _steps(op, node), which)
    dy = op.Expand(op.const(0, y.dtype), op.Shape(y)) if dys[0] is None else _of_direction(op, node, dys[0], which)
    if _is_reverse(node, which):
        x, y, dy = (backwards(op, v) for v in (x, y, dy))
    dh, start = _ends(op, node, dys, 1)[which], _states(op, node, _H)[which]
    return _Direction(op, x, w, r, _biases(op, node, r, which), y, start, dy, dh)


def _steps(op: Builder, node: NodeView) -> Var:
    """Return the states of all steps; where nothing reads them the layer does not give them, and runs once more."""
    if node.node.outputs[0].name:
        return node.y
    inputs = [None if value is None else op.var(value) for value in node.node.inputs]
    names = ("hidden_size", "layout", "linear_before_reset")
    attributes: dict[str, AttributeValue] = {n: node.integer(n, 0) for n in names if n in node.node.attributes}
    attributes["direction"] = node.text("direction", "forward")
    again = op.emit(node.node.op_type, inputs, attributes)
    return op.cast(again, node.x.dtype)


def _of_direction(op: Builder, node: NodeView, y: Var, which: int) -> Var:
    """Return one direction of all states, ``[T, N, H]``."""
    if _is_batch_first(node):
        y = op.Transpose(y, perm=[1, 2, 0, 3])
    return op.Gather(y, op.const(np.int64(which)), axis=1)


def _biases(op: Builder, node: NodeView, r: Var, which: int) -> tuple[Var, Var]:
    ends = [_times(op, r, 0, count) for count in range(3)]
    if not node.has(_B):
        nothing = op.Expand(op.const(0, r.dtype), ends[1])
        return nothing, nothing
    both = op.Gather(node.input(_B), op.const(np.int64(which)), axis=0)
    return op.Slice(both, ends[0], ends[1], [0]), op.Slice(both, ends[1], ends[2], [0])


def _states(op: Builder, node: NodeView, index: int) -> list[Var]:
    """Return the states before the first step, ``[N, H]`` for each direction."""
    given = node.input(index) if node.has(index) else None
    return _apart(op, node, given)


def _ends(op: Builder, node: NodeView, dys: list[Var | None], index: int) -> list[Var]:
    """Return the cotangents of the states behind the last step, ``[N, H]`` for each direction."""
    return _apart(op, node, dys[index] if index < len(dys) else None)


def _apart(op: Builder, node: NodeView, states: Var | None) -> list[Var]:
    if states is None:
        n, h = shapes.dim(op, node.raw(_X), 0 if _is_batch_first(node) else 1), shapes.dim(op, node.raw(_R), 2)
        return [op.Expand(op.const(0, node.x.dtype), shapes.sizes_tensor(op, [n, h]))] * _count(node)
    first = _steps_second(op, node, states)
    return [op.Gather(first, op.const(np.int64(which)), axis=0) for which in range(_count(node))]


def _beside(op: Builder, node: NodeView, states: list[Var]) -> Var:
    return _steps_second(op, node, op.Concat(*[op.Unsqueeze(state, [0]) for state in states], axis=0))


def _steps_second(op: Builder, node: NodeView, x: Var) -> Var:
    """Exchange samples with steps or directions where the layer has samples first."""
    return op.Transpose(x, perm=[1, 0, 2]) if _is_batch_first(node) else x


def _times(op: Builder, like: Var, axis: int, count: int) -> Var:
    """Return a multiple of a size, ``[1]``."""
    size = shapes.dim(op, like, axis)
    return op.ints([size * count]) if isinstance(size, int) else op.Mul(size, op.ints([count]))


def _count(node: NodeView) -> int:
    return 2 if node.text("direction", "forward") == "bidirectional" else 1


def _is_reverse(node: NodeView, which: int) -> bool:
    return which == 1 or node.text("direction", "forward") == "reverse"


def _is_batch_first(node: NodeView) -> bool:
    return bool(node.integer("layout", 0))


def _refuse(node: NodeView) -> None:
    """Raise for what changes the formulas.

    Raises:
        UnsupportedError: it is used.
    """
    kind = node.node.op_type
    named = node.node.attributes.get_strings("activations", None) or _USUAL[kind] * _count(node)
    used = {
        "sequence_lens": node.has(_LENGTHS),
        "P": node.has(_PEEPHOLES),
        "clip": "clip" in node.node.attributes,
        "input_forget": bool(node.integer("input_forget", 0)),
        "activations other than the usual": tuple(name.lower() for name in named) != _USUAL[kind] * _count(node),
    }
    for what in (name for name, is_used in used.items() if is_used):
        raise UnsupportedError(
            f"{kind} '{node.node.name}': no gradient rule for {what}; export it without, or choose a layer behind it"
        )
