"""Branches that are chosen while the graph runs, and read values around them."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, ValueInfoProto, helper

from tests.helpers.sample import Sample, fed, listed, smooth, var

_RNG = np.random.default_rng(31)


def _branch(name: str, *steps: tuple[str, list[str]]) -> GraphProto:
    """Return a graph of one operator after another; each result is called as the branch, with its number."""
    nodes = [helper.make_node(op, inputs, [f"{name}{i}"], name=f"{name}{i}") for i, (op, inputs) in enumerate(steps)]
    return helper.make_graph(nodes, name, [], [ValueInfoProto(name=f"{name}{len(steps) - 1}")])


_THEN = _branch("then", ("Exp", ["x1"]), ("Mul", ["then0", "x2"]))
_ELSE = _branch("else", ("Mul", ["x1", "x1"]), ("Sin", ["else0"]))

listed(
    __name__,
    *(
        Sample(
            "If",
            (fed(np.array(which)), var(smooth(_RNG, 2, 3)), var(smooth(_RNG, 2, 3))),
            {"then_branch": first, "else_branch": second},
            captured=2,
            note=f"{which}-{first.name}",
        )
        for which in (True, False)
        for first, second in ((_THEN, _ELSE), (_THEN, _THEN))
    ),
)
