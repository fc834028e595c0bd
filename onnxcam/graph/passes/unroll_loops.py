"""Write out loops that run a fixed number of times, and branches whose condition is fixed.

A loop or a branch that stays is refused when a gradient has to pass it: how often it runs is known only while the graph
runs, or it is too much to write out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from onnxcam.graph.analysis.subgraphs import bodies
from onnxcam.graph.passes.body_copier import BodyCopier

# A graph of this size is still written in a second and optimised in a few.
_MOST_STEPS = 256
_MOST_NODES = 20_000
# Together with what is there already: loops inside loops multiply.
_LARGEST_GRAPH = 25_000


class UnrollLoops(ir.passes.InPlacePass):
    """Write out every If, Loop and Scan that is fixed.

    Their bodies join the graph around them, where running this pass again finds what they hold. The branches of an If
    and the body of a Scan that are not fixed are searched too; the body of a Loop that is not fixed is left alone,
    since no gradient passes it.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Write them out once."""
        return ir.passes.PassResult(model, _unroll(model.graph, model.graph))


def _unroll(main: ir.Graph, graph: ir.Graph) -> bool:
    """Write out what is fixed in a graph; constants join the main graph."""
    known: dict[str, Callable[[ir.Graph, ir.Node], bool]] = {"If": _branch, "Loop": _loop, "Scan": _scan}
    done = False
    for node in [node for node in graph if node.domain == "" and node.op_type in known]:
        if known[node.op_type](main, node):
            done = True
        elif node.op_type in ("If", "Scan"):
            for branch in bodies(node):
                done = _unroll(main, branch) or done
    return done


def _list(node: ir.Node, name: str, count: int) -> list[int]:
    """Return one number for each of ``count`` values, 0 where the attribute is missing."""
    return list(node.attributes.get_ints(name, [0] * count))


def _has_room(main: ir.Graph, body: ir.Graph, steps: int) -> bool:
    """Whether a body can be copied that often, into a graph that loops around this one may have made large."""
    copies = steps * _size(body)
    return steps <= _MOST_STEPS and copies <= _MOST_NODES and len(main) + copies <= _LARGEST_GRAPH


def _size(body: ir.Graph) -> int:
    """Return how many nodes a body has when the loops in it are written out too."""
    return sum(1 + _trips(node) * sum(map(_size, bodies(node))) for node in body)


def _trips(node: ir.Node) -> int:
    """Return how often the body of a node is written out."""
    trips = _fixed(node.inputs[0]) if node.op_type == "Loop" and node.domain == "" else None
    return 1 if trips is None else int(trips.numpy().ravel()[0])


def _fixed(value: ir.Value | None) -> ir.TensorProtocol | None:
    """Return the constant that a value holds, None where it is not fixed."""
    return None if value is None else value.const_value


def _branch(main: ir.Graph, node: ir.Node) -> bool:
    """Replace an If whose condition is fixed by the branch that is taken."""
    condition = _fixed(node.inputs[0])
    if condition is None:
        return False
    name = "then_branch" if bool(condition.numpy().ravel()[0]) else "else_branch"
    body = node.attributes[name].as_graph()
    copier = BodyCopier(main, node, body)
    copier.replace(copier.run({}, 0))
    return True


def _loop(main: ir.Graph, node: ir.Node) -> bool:
    """Write out a Loop whose count is fixed and whose condition stays true."""
    trips, start = _fixed(node.inputs[0]), node.inputs[1]
    body = node.attributes["body"].as_graph()
    entry = _fixed(start)
    if trips is None or (start is not None and (entry is None or not bool(entry.numpy().ravel()[0]))):
        return False
    steps = int(trips.numpy().ravel()[0])
    if not _has_room(main, body, steps) or not _stays_true(body.outputs[0], body.inputs[1]) or steps < 1:
        return False
    count = len(node.inputs) - 2
    copier = BodyCopier(main, node, body)
    on = copier.constant(ir.tensor(np.array(True)), "on")
    states = [value for value in node.inputs[2:] if value is not None]
    if len(states) != count:
        return False
    rows: list[list[ir.Value]] = [[] for _ in node.outputs[count:]]
    for step in range(steps):
        given = dict(zip(body.inputs, [copier.number(step, f"step_{step}"), on, *states], strict=True))
        results = copier.run(given, step)[1:]
        states = results[:count]
        for row, value in zip(rows, results[count:], strict=True):
            row.append(value)
    copier.replace([*states, *(_stacked(copier, row, 0, i) for i, row in enumerate(rows))])
    return True


def _stays_true(value: ir.Value, entry: ir.Value) -> bool:
    """Whether a loop's condition stays true."""
    while (maker := value.producer()) is not None and maker.op_type in ("Identity", "Cast") and maker.inputs[0]:
        value = maker.inputs[0]
    tensor = value.const_value
    if tensor is None and maker is not None and maker.op_type == "Constant":
        attribute = maker.attributes.get("value")
        tensor = None if attribute is None else attribute.as_tensor()
    return value is entry or (tensor is not None and bool(tensor.numpy().ravel()[0]))


def _scan(main: ir.Graph, node: ir.Node) -> bool:
    """Write out a Scan along an axis of known size, slice by slice."""
    body = node.attributes["body"].as_graph()
    scanned = node.attributes.get_int("num_scan_inputs", 0)
    count = len(node.inputs) - scanned
    inputs = [value for value in node.inputs if value is not None]
    axes = _list(node, "scan_input_axes", scanned)
    shape = inputs[count].shape if len(inputs) == len(node.inputs) and scanned else None
    steps = None if shape is None else shape[axes[0]]
    if not isinstance(steps, int) or steps < 1 or not _has_room(main, body, steps):
        return False
    backward = _list(node, "scan_input_directions", scanned)
    kept = len(node.outputs) - count
    out_axes = _list(node, "scan_output_axes", kept)
    out_backward = _list(node, "scan_output_directions", kept)
    copier = BodyCopier(main, node, body)
    states = inputs[:count]
    rows: list[list[ir.Value]] = [[] for _ in range(kept)]
    indices = [copier.number(step, f"step_{step}") for step in range(steps)]
    for step in range(steps):
        slices = [
            copier.emit("Gather", [x, indices[steps - 1 - step if back else step]], f"{step}/slice_{i}", axis=axis)
            for i, (x, axis, back) in enumerate(zip(inputs[count:], axes, backward, strict=True))
        ]
        results = copier.run(dict(zip(body.inputs, [*states, *slices], strict=True)), step)
        states = results[:count]
        for row, value in zip(rows, results[count:], strict=True):
            row.append(value)
    stacked = [
        _stacked(copier, row[::-1] if back else row, axis, i)
        for i, (row, axis, back) in enumerate(zip(rows, out_axes, out_backward, strict=True))
    ]
    copier.replace([*states, *stacked])
    return True


def _stacked(copier: BodyCopier, row: list[ir.Value], axis: int, index: int) -> ir.Value:
    """Join the results of all steps along a new axis."""
    axes = copier.number([axis], f"axis_{index}")
    apart = [copier.emit("Unsqueeze", [value, axes], f"{step}/row_{index}") for step, value in enumerate(row)]
    return copier.emit("Concat", apart, f"rows_{index}", axis=axis)
