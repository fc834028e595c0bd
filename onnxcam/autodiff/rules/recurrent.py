"""Recurrent layers: the gates of all steps are computed again at once, from the states that the layer returned.

Only the cell's state and the backward pass itself go from step to step. In the comments h' and c' are the states before
a step, ``d`` before a name means its cotangent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.recurrent_direction import (
    Direction,
    Input,
    direction_count,
    direction_of,
    final_cotangents,
    initial_states,
    is_reverse,
    joined,
    steps_first,
)
from onnxcam.autodiff.registry import Cotangents, vjp
from onnxcam.autodiff.scan import backwards, scan
from onnxcam.errors import UnsupportedError

_USUAL = {"LSTM": ("sigmoid", "tanh", "tanh"), "GRU": ("sigmoid", "tanh"), "RNN": ("tanh",)}
# Of one direction and its number: cotangents of all gates, [T, N, gates H], and of the states before the first step.
_Backward: TypeAlias = Callable[[Direction, int], tuple[Var, Var, Var]]


@vjp("LSTM", since=7, all_outputs=True, inputs=(Input.X, Input.INITIAL_H, Input.INITIAL_C))
def lstm(op: Builder, node: NodeView, dys: list[Var | None]) -> Cotangents:
    """c = f c' + i g, h = o tanh(c) with gates i, o, f, g of x and h': dc and dh go from the last step to the first."""
    _refuse(node)
    starts, ends = initial_states(op, node, Input.INITIAL_C), final_cotangents(op, node, dys, 2)

    def backward(one: Direction, which: int) -> tuple[Var, Var, Var]:
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

    dx, dhs, dcs = _all_directions(op, node, dys, backward)
    return dx, None, None, None, None, dhs, dcs


@vjp("GRU", since=7, all_outputs=True, inputs=(Input.X, Input.INITIAL_H))
def gru(op: Builder, node: NodeView, dys: list[Var | None]) -> Cotangents:
    """h = (1 - z) n + z h' with gates z, r of x and h', and n of x and the part of h' that r keeps."""
    _refuse(node)
    after = bool(node.integer("linear_before_reset", 0))

    def backward(one: Direction, _: int) -> tuple[Var, Var, Var]:
        xz, xr, xn = one.parts(one.of_x(), 3)
        rz, rr, rn = one.parts(one.r, 3, axis=0)
        bz, br, bn = one.parts(one.bias[1], 3, axis=0)
        z, r = op.Sigmoid(xz + one.of_state(rz, bz)), op.Sigmoid(xr + one.of_state(rr, br))
        q = one.of_state(rn, bn) if after else one.before
        n = op.Tanh(xn + (r * q if after else one.of_state(rn, bn, r * q)))
        at_z, at_n, at_r = (one.before - n) * z * (1 - z), (1 - z) * (1 - n * n), q * r * (1 - r)

        def step(inside: Builder, states: list[Var], parts: list[Var]) -> tuple[list[Var], list[Var]]:
            dy, z, r, at_z, at_n, at_r = parts
            dh = states[0] + dy
            dz, dn = dh * at_z, dh * at_n
            # The reset gate is applied after the weights (r q) or before them (r h').
            through = (dn * r) @ rn if after else (dn @ rn)
            dr = (dn if after else through) * at_r
            back = dh * z + dz @ rz + dr @ rr + (through if after else through * r)
            return [back], [inside.Concat(dz, dr, dn, axis=-1)]

        (dh,), (gates,) = scan(op, [one.dh], [backwards(op, v) for v in (one.dy, z, r, at_z, at_n, at_r)], step)
        return backwards(op, gates), dh, dh

    dx, dhs, _ = _all_directions(op, node, dys, backward)
    return dx, None, None, None, None, dhs


@vjp("RNN", since=7, all_outputs=True, inputs=(Input.X, Input.INITIAL_H))
def rnn(op: Builder, node: NodeView, dys: list[Var | None]) -> Cotangents:
    """h = tanh of what x and h' give."""
    _refuse(node)

    def backward(one: Direction, _: int) -> tuple[Var, Var, Var]:
        def step(inside: Builder, states: list[Var], parts: list[Var]) -> tuple[list[Var], list[Var]]:
            gates = (states[0] + parts[0]) * parts[1]
            return [gates @ one.r], [gates]

        (dh,), (gates,) = scan(op, [one.dh], [backwards(op, v) for v in (one.dy, 1 - one.y * one.y)], step)
        return backwards(op, gates), dh, dh

    dx, dhs, _ = _all_directions(op, node, dys, backward)
    return dx, None, None, None, None, dhs


def _all_directions(
    op: Builder, node: NodeView, dys: list[Var | None], backward: _Backward
) -> tuple[Var | None, Var | None, Var | None]:
    """Return dx and the cotangents of the initial states; each direction has a backward pass of its own."""
    dxs, dhs, dcs = [], [], []
    for which in range(direction_count(node)):
        one = direction_of(op, node, dys, which)
        gates, dh, dc = backward(one, which)
        dx = gates @ one.w
        dxs.append(backwards(op, dx) if is_reverse(node, which) else dx)
        dhs.append(dh)
        dcs.append(dc)
    dx = steps_first(op, node, dxs[0] if len(dxs) == 1 else dxs[0] + dxs[1])
    return (
        dx,
        joined(op, node, dhs) if node.has(Input.INITIAL_H) else None,
        joined(op, node, dcs) if node.has(Input.INITIAL_C) else None,
    )


def _refuse(node: NodeView) -> None:
    """Raise for what changes the formulas.

    Raises:
        UnsupportedError: it is used.
    """
    kind = node.node.op_type
    named = node.node.attributes.get_strings("activations", None) or _USUAL[kind] * direction_count(node)
    used = {
        "sequence_lens": node.has(Input.SEQUENCE_LENS),
        "P": node.has(Input.PEEPHOLES),
        "clip": "clip" in node.node.attributes,
        "input_forget": bool(node.integer("input_forget", 0)),
        "activations other than the usual": tuple(name.lower() for name in named)
        != _USUAL[kind] * direction_count(node),
    }
    for what in (name for name, is_used in used.items() if is_used):
        raise UnsupportedError(
            f"{kind} '{node.node.name}': no gradient rule for {what}; export it without, or "
            "choose a later layer (closer to the output)"
        )
