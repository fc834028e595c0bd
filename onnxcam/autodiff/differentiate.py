"""Add gradients to a graph as outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Literal, TypeAlias

import onnx_ir as ir
import onnx_ir.passes.common as passes

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.copy_weights import separate_weights
from onnxcam.autodiff.driver import BackwardPass
from onnxcam.autodiff.functions import write_out_functions
from onnxcam.autodiff.intercepts import Intercepts
from onnxcam.autodiff.paths import between
from onnxcam.autodiff.registry import Table, gradient_table
from onnxcam.autodiff.seed import CLASS_INDEX, COTANGENT, class_seed, cotangent_seed, numbered
from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.values import find_value

Seed: TypeAlias = Literal["cotangent", "class"]


def gradient_name(value: str, order: int = 1) -> str:
    """Return the name of the output that holds the gradient of a value."""
    return f"{numbered('grad', order)}/{value}"


def next_order(graph: ir.Graph) -> int:
    """Return the order of the derivative that can be added to a graph: 1 more than of those that it computes."""
    taken = {value.name for value in graph.inputs}
    return next(n for n in count(1) if not taken & {numbered(COTANGENT, n), numbered(CLASS_INDEX, n)})


def add_gradients(
    model: ir.Model,
    of: str,
    wrt: Sequence[str],
    seed: Seed = "cotangent",
    *,
    table: Table | None = None,
    share_weights: bool = True,
    intercepts: Mapping[str, Sequence[str]] | None = None,
    order: int = 1,
) -> ir.Model:
    """Return a copy of a canonical model with the gradient of one value with respect to others as outputs.

    The outputs are the model's own, then for each value ``v`` in ``wrt`` both ``v`` and its gradient ``grad/v``, of the
    shape of ``v``, in float32 (float64 where ``v`` is).

    Args:
        model: in canonical form; it is not changed.
        of: name of the value that is differentiated.
        wrt: names of the values to differentiate with respect to.
        seed: ``cotangent`` adds an input ``cotangent`` of the shape of ``of``; ``class`` adds an int64 input
            ``class_index`` of shape [N], negative for the predicted class.
        table: rules; ONNX's gradients if not given.
        intercepts: groups of nodes, by the names of their first outputs; the terms of each group are one more output,
            ``intercept/<group>`` of the shape of these outputs, or ``intercept/rest`` ``[1]`` for the sum of a run's.
        share_weights: let the backward pass read the forward pass's weights; else it gets copies of them.
        order: of the derivative, where the model computes gradients already: from 2 on, the new inputs and outputs have
            it in their names (``cotangent2``, ``grad2/v``).

    Raises:
        NameNotFoundError: no value has such a name.
        DependencyError: ``of`` does not depend on one of ``wrt``.
        UnsupportedError: operators without a rule, all listed; or an input or output has a name that is needed.
    """
    if seed not in ("cotangent", "class"):
        raise UnsupportedError(f"seed is 'cotangent' or 'class', not '{seed}'")
    model = model.clone()
    graph = model.graph
    table = gradient_table() if table is None else table

    def lying_between(graph: ir.Graph) -> list[ir.Node]:
        return between(graph, [find_value(graph, name) for name in wrt], find_value(graph, of))[0]

    write_out_functions(model, lying_between, table)
    score = find_value(graph, of)
    values = [find_value(graph, name) for name in wrt]
    forward = frozenset(graph.all_nodes())
    backward = BackwardPass.of(graph, score, values, table)
    start = class_seed(backward.op, score, order) if seed == "class" else cotangent_seed(backward.op, score, order)
    backward.intercepts = None if intercepts is None else Intercepts(intercepts)
    backward.write([(score, start)])
    for value, gradient in [(value, backward.gradient(value)) for value in values]:
        _expose(graph, value)
        graph.outputs.append(_named(backward.op, gradient, value, gradient_name(str(value.name), order)))
    if backward.intercepts is not None:
        graph.outputs.extend(backward.intercepts.outputs(backward.op))
    if not share_weights:
        separate_weights(graph, backward.op, forward)
    return passes.RemoveUnusedNodesPass()(model).model


def _expose(graph: ir.Graph, value: ir.Value) -> None:
    if value not in graph.outputs:
        graph.outputs.append(value)


def _named(op: Builder, gradient: Var, value: ir.Value, name: str) -> ir.Value:
    """Give the gradient its own node and name: two values may share one cotangent."""
    output = op.Identity(gradient).value
    output.name = op.claim(name)
    output.shape = value.shape
    return output
