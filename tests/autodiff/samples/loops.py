"""Loops over more slices than are written out, or over a number of them that is only known while the graph runs."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, ValueInfoProto, helper

from tests.helpers.sample import Sample, const, listed, smooth, var

_RNG = np.random.default_rng(37)
_STEPS = 257


def _body(inputs: list[str], outputs: list[str], *steps: tuple[str, list[str], list[str]]) -> GraphProto:
    """Return the body of a loop: operators with what they read and make."""
    nodes = [helper.make_node(op, given, made, name=f"n_{made[0]}") for op, given, made in steps]
    return helper.make_graph(
        nodes, "body", [ValueInfoProto(name=n) for n in inputs], [ValueInfoProto(name=n) for n in outputs]
    )


# A recurrent layer: h = tanh(h' W + x), which is passed on and returned, beside x h'.
_RECURRENT = _body(
    ["h", "s"],
    ["h2", "row", "other"],
    ("MatMul", ["h", "x2"], ["m"]),
    ("Add", ["m", "s"], ["a"]),
    ("Tanh", ["a"], ["h2"]),
    ("Identity", ["h2"], ["row"]),
    ("Mul", ["s", "h"], ["other"]),
)
# Two states of which one counts the steps and the other only sums, and slices of two tensors.
_COUNTING = _body(
    ["n", "t", "s", "r"],
    ["n2", "t2", "row"],
    ("Add", ["n", "x4"], ["n2"]),
    ("Mul", ["s", "r"], ["p"]),
    ("Sin", ["p"], ["q"]),
    ("Add", ["t", "q"], ["t2"]),
    ("Mul", ["p", "t"], ["row"]),
)
_MAP = _body(["s"], ["row"], ("Sigmoid", ["s"], ["g"]), ("Mul", ["g", "s"], ["row"]))


def _recurrent(steps: int, *uses: int) -> Sample:
    return Sample(
        "Scan",
        (var(smooth(_RNG, 2, 3)), var(smooth(_RNG, steps, 2, 3)), var(0.3 * smooth(_RNG, 3, 3))),
        {"body": _RECURRENT, "num_scan_inputs": 1},
        outputs=3,
        uses=uses,
        captured=1,
        note="recurrent",
    )


listed(
    __name__,
    _recurrent(4, 0, 1, 2),
    _recurrent(4, 0),
    _recurrent(4, 1),
    _recurrent(_STEPS, 0, 1, 2),
    _recurrent(4, 2),
    Sample(
        "Scan",
        (
            const(np.zeros(1, np.int64)),
            const(np.zeros((1, 3))),
            var(smooth(_RNG, _STEPS, 1, 3)),
            var(smooth(_RNG, _STEPS, 1, 3)),
            const(np.ones(1, np.int64)),
        ),
        {"body": _COUNTING, "num_scan_inputs": 2},
        outputs=3,
        uses=(1, 2),
        captured=1,
        note="counting",
    ),
    Sample("Scan", (var(smooth(_RNG, _STEPS, 3)),), {"body": _MAP, "num_scan_inputs": 1}, note="map"),
)
