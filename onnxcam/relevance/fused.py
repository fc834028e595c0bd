"""Relevance in the same run as the forward pass, for relevance that starts as something that the graph can compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import onnx_ir as ir
import onnx_ir.passes.common as passes

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.copy_weights import separate_weights
from onnxcam.autodiff.differentiate import Seed, gradient_name
from onnxcam.autodiff.driver import BackwardPass
from onnxcam.autodiff.functions import write_out_functions
from onnxcam.autodiff.node import cotangent_type
from onnxcam.autodiff.paths import between
from onnxcam.autodiff.registry import Table, gradient_table
from onnxcam.autodiff.seed import class_seed, cotangent_seed
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.passes.expose import expose
from onnxcam.graph.passes.fold_batchnorm import FoldBatchNorm
from onnxcam.relevance.composite import Composite
from onnxcam.relevance.forms.normalised import Normalised
from onnxcam.relevance.forms.regroup import regroup_normalizations
from onnxcam.relevance.forms.softmax import join_softmax
from onnxcam.relevance.origins import Origins
from onnxcam.relevance.table import refuse_unlisted, relevance_table

# What relevance starts as: at the score, the explained number; at a layer its value times its mean gradient, the terms
# that Grad-CAM sums up.
Initial: TypeAlias = Literal["score", "terms"]

# Names of the outputs that hold relevance where it starts and where it ends.
START, END = "relevance/start", "relevance/end"


@dataclass(frozen=True)
class FusedRelevance:
    """Relevance that is propagated in the run that also computes the scores.

    Attributes:
        composite: rules of propagation.
        initial: what relevance starts as.
        start: name of the value where it starts.
        end: name of the earlier value where it ends; ``start`` depends on it.
        mean_axes: axes of ``start`` that the mean gradient is taken over, for ``terms``.
    """

    composite: Composite
    initial: Initial
    start: str
    end: str
    mean_axes: tuple[int, ...] = ()


def folded(model: ir.Model, keep: Sequence[str]) -> ir.Model:
    """Return a copy of a model that computes some values, its normalisations folded or written in one order.

    Rules look at the signs of weights, which a normalisation with stored statistics that is not folded would hide from
    them. Scale and shift of one with its own statistics are not folded: some files hold them inside one operator.
    """
    model = expose(model, keep)
    regroup_normalizations(model.graph, frozenset(keep))
    join_softmax(model.graph, frozenset(keep))
    model = passes.RemoveUnusedNodesPass()(model).model
    return FoldBatchNorm({*keep, *Normalised(Origins()).names(model.graph)})(model).model


def add_relevance(
    model: ir.Model,
    score: str,
    names: Sequence[str],
    relevance: FusedRelevance,
    seed: Seed,
    *,
    share_weights: bool = True,
) -> ir.Model:
    """Return a copy of a canonical model with relevance as an output, all of it from one forward pass.

    Its outputs are ``score``, ``names``, and the relevance at both ends, ``relevance/start`` and ``relevance/end``, in
    float32; where it starts as terms also the gradient there, as of ``add_gradients``.

    Args:
        model: it is not changed.
        score: name of the value that is explained.
        names: of further values to compute.
        relevance: what is propagated, from where to where.
        seed: how the user says what is explained, as of ``add_gradients``.
        share_weights: as of ``add_gradients``.

    Raises:
        DependencyError: the score does not depend on the start of relevance, or that not on its end.
        UnsupportedError: operators without a rule, all listed.
    """
    wanted = list(dict.fromkeys([score, *names]))
    model = folded(model, list(dict.fromkeys([*wanted, relevance.start, relevance.end])))
    _write_out_functions(model, score, relevance)
    op, forward = Builder(model.graph), frozenset(model.graph.all_nodes())
    outputs = _propagated(op, score, relevance, seed)
    _set_outputs(op, wanted, outputs)
    if not share_weights:
        separate_weights(model.graph, op, forward)
    return passes.RemoveUnusedNodesPass()(model).model


def _write_out_functions(model: ir.Model, score: str, relevance: FusedRelevance) -> None:
    """Write out operators without a rule of their own, each stage asking its own table.

    Raises:
        UnsupportedError: operators without a rule of relevance, all listed.
    """
    table = relevance_table(relevance.composite)
    refuse_unlisted(model, relevance.start, relevance.end, table)
    stages = [(relevance.start, relevance.end, table)]
    if relevance.initial == "terms":
        stages.insert(0, (score, relevance.start, gradient_table()))
    for of, wrt, rules in stages:
        write_out_functions(model, lambda graph, of=of, wrt=wrt: _between(graph, of, wrt)[0], rules)  # type: ignore[misc]


def _propagated(op: Builder, score: str, relevance: FusedRelevance, seed: Seed) -> dict[str, Var]:
    """Write the gradient, where it is needed, and relevance; return them by the names of their outputs."""
    graph, outputs = op.graph, {}
    explained = find_value(graph, score)
    weights = class_seed(op, explained) if seed == "class" else cotangent_seed(op, explained)
    if relevance.initial == "terms":
        g = _backward(op, score, relevance.start, gradient_table(), weights)
        outputs[gradient_name(relevance.start)] = g
        a = find_value(graph, relevance.start)
        start = op.ReduceMean(g, list(relevance.mean_axes), keepdims=1) * _raised(op, a)
    else:
        start = weights * _raised(op, explained)
    table = relevance_table(relevance.composite)
    return outputs | {START: start, END: _backward(op, relevance.start, relevance.end, table, start)}


def _set_outputs(op: Builder, names: Sequence[str], outputs: Mapping[str, Var]) -> None:
    """Make some values of the model, and new ones by name, its outputs."""
    graph = op.graph
    graph.outputs.clear()
    graph.outputs.extend(find_value(graph, name) for name in names)
    for name, found in outputs.items():
        value = op.Identity(found).value
        value.name = op.claim(name)
        value.shape = found.value.shape
        graph.outputs.append(value)


def _between(graph: ir.Graph, of: str, wrt: str) -> tuple[list[ir.Node], set[ir.Value]]:
    return between(graph, [find_value(graph, wrt)], find_value(graph, of))


def _backward(op: Builder, of: str, wrt: str, table: Table, seed: Var) -> Var:
    """Write the backward pass from one value of the model to an earlier one, by the rules of a table."""
    graph = op.graph
    nodes, values = _between(graph, of, wrt)
    backward = BackwardPass(op, nodes, values, table, graph.opset_imports)
    backward.write([(find_value(graph, of), seed)])
    return backward.gradient(find_value(graph, wrt))


def _raised(op: Builder, value: ir.Value) -> Var:
    """Return a value in the type that gradients are computed in."""
    return op.cast(op.var(value), cotangent_type(value))
