"""One direction of a recurrent layer: its weights and states, in the order of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import AttributeValue, Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.scan import backwards


class Input(IntEnum):
    """Positions of the inputs of LSTM, GRU and RNN."""

    X = 0
    W = 1
    R = 2
    B = 3
    SEQUENCE_LENS = 4
    INITIAL_H = 5
    INITIAL_C = 6
    PEEPHOLES = 7


@dataclass(frozen=True)
class Direction:
    """One direction of a layer, its steps in the order in which it goes through them.

    Attributes:
        x: what the layer reads, ``[T, N, I]``.
        w: weights of ``x``, ``[gates H, I]``.
        r: weights of the state, ``[gates H, H]``.
        bias: of ``w`` and of ``r``, ``[gates H]`` each.
        y: states, ``[T, N, H]``.
        start: state before the first step, ``[N, H]``.
        dy: cotangents of these states, ``[T, N, H]``.
        dh: cotangent of the last state, ``[N, H]``.
    """

    x: Var
    w: Var
    r: Var
    bias: tuple[Var, Var]
    y: Var
    start: Var
    dy: Var
    dh: Var

    @property
    def op(self) -> Builder:
        """Where nodes are written."""
        return self.x.op

    @cached_property
    def before(self) -> Var:
        """States before each step, ``[T, N, H]``."""
        return self.shifted(self.start, self.y)

    def shifted(self, start: Var, states: Var) -> Var:
        """Return states one step later, ``start`` being the first."""
        op = self.op
        return op.Concat(op.Unsqueeze(start, [0]), op.Slice(states, [0], [-1], [0]), axis=0)

    def of_x(self) -> Var:
        """Return the input's contribution to every gate, ``[T, N, gates H]``."""
        return self.x @ self.op.Transpose(self.w, perm=[1, 0]) + self.bias[0]

    def of_state(self, r: Var | None = None, bias: Var | None = None, state: Var | None = None) -> Var:
        """Return the contribution of states to gates: of those before each step to all gates, unless given."""
        r, bias = (self.r, self.bias[1]) if r is None or bias is None else (r, bias)
        return (self.before if state is None else state) @ self.op.Transpose(r, perm=[1, 0]) + bias

    def parts(self, x: Var, count: int, axis: int = -1) -> list[Var]:
        """Return the gates of a tensor that joins ``count`` of them."""
        ends = [_times(self.op, self.r, 1, i) for i in range(count + 1)]
        return [self.op.Slice(x, ends[i], ends[i + 1], [axis]) for i in range(count)]


def direction_of(op: Builder, node: NodeView, dys: list[Var | None], which: int) -> Direction:
    """Return the tensors of one direction, in the order of its steps."""
    x = steps_first(op, node, node.x)
    w, r = (op.Gather(node.input(index), op.const(np.int64(which)), axis=0) for index in (Input.W, Input.R))
    y = _of_direction(op, node, _steps(op, node), which)
    dy = op.Expand(op.const(0, y.dtype), op.Shape(y)) if dys[0] is None else _of_direction(op, node, dys[0], which)
    if is_reverse(node, which):
        x, y, dy = (backwards(op, v) for v in (x, y, dy))
    dh, start = final_cotangents(op, node, dys, 1)[which], initial_states(op, node, Input.INITIAL_H)[which]
    return Direction(x, w, r, _biases(op, node, r, which), y, start, dy, dh)


def _steps(op: Builder, node: NodeView) -> Var:
    """Return the states of all steps; where the layer does not output them, it is computed once more."""
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
    if not node.has(Input.B):
        nothing = op.Expand(op.const(0, r.dtype), ends[1])
        return nothing, nothing
    both = op.Gather(node.input(Input.B), op.const(np.int64(which)), axis=0)
    return op.Slice(both, ends[0], ends[1], [0]), op.Slice(both, ends[1], ends[2], [0])


def initial_states(op: Builder, node: NodeView, index: int) -> list[Var]:
    """Return the states before the first step, ``[N, H]`` for each direction."""
    given = node.input(index) if node.has(index) else None
    return _apart(op, node, given)


def final_cotangents(op: Builder, node: NodeView, dys: list[Var | None], index: int) -> list[Var]:
    """Return the cotangents of the states after the last step, ``[N, H]`` for each direction."""
    return _apart(op, node, dys[index] if index < len(dys) else None)


def _apart(op: Builder, node: NodeView, states: Var | None) -> list[Var]:
    if states is None:
        n, h = (
            shapes.dim(op, node.raw(Input.X), 0 if _is_batch_first(node) else 1),
            shapes.dim(op, node.raw(Input.R), 2),
        )
        return [op.Expand(op.const(0, node.x.dtype), shapes.sizes_tensor(op, [n, h]))] * direction_count(node)
    first = steps_first(op, node, states)
    return [op.Gather(first, op.const(np.int64(which)), axis=0) for which in range(direction_count(node))]


def joined(op: Builder, node: NodeView, states: list[Var]) -> Var:
    """Return ``[N, H]`` of each direction as one tensor, as the layer takes and returns states."""
    return steps_first(op, node, op.Concat(*[op.Unsqueeze(state, [0]) for state in states], axis=0))


def steps_first(op: Builder, node: NodeView, x: Var) -> Var:
    """Exchange samples with steps or directions where the layer has samples first."""
    return op.Transpose(x, perm=[1, 0, 2]) if _is_batch_first(node) else x


def _times(op: Builder, like: Var, axis: int, count: int) -> Var:
    """Return a multiple of a size, ``[1]``."""
    size = shapes.dim(op, like, axis)
    return op.ints([size * count]) if isinstance(size, int) else op.Mul(size, op.ints([count]))


def direction_count(node: NodeView) -> int:
    """Return how many directions the layer has, 1 or 2."""
    return 2 if node.text("direction", "forward") == "bidirectional" else 1


def is_reverse(node: NodeView, which: int) -> bool:
    """Whether a direction reads the sequence from its end."""
    return which == 1 or node.text("direction", "forward") == "reverse"


def _is_batch_first(node: NodeView) -> bool:
    return bool(node.integer("layout", 0))
