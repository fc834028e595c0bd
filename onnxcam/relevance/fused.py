"""Relevance in the same run as the forward pass, where the graph can tell by itself what it begins with."""

from __future__ import annotations

from collections.abc import Sequence
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
from onnxcam.graph.analysis.values import expose, find_value
from onnxcam.graph.passes.fold_batchnorm import FoldBatchNorm
from onnxcam.relevance.composite import Composite
from onnxcam.relevance.table import refuse_unlisted, relevance_table

# The explained number at the score, or at a layer its value times its mean gradient: what Grad-CAM sums up.
Beginning: TypeAlias = Literal["score", "terms"]

START, RELEVANCE = "relevance/start", "relevance/end"


@dataclass(frozen=True)
class FusedRelevance:
    """A walk of relevance.

    Attributes:
        composite: rules.
        start: what it begins with.
        of: name of the value where it begins.
        to: name of the value where it ends, which ``of`` depends on and is not.
        places: which axes of ``of`` the mean gradient is taken over.
    """

    composite: Composite
    start: Beginning
    of: str
    to: str
    places: tuple[int, ...] = ()


def folded(model: ir.Model, keep: Sequence[str]) -> ir.Model:
    """Return a copy of a model that computes some values, its normalisations folded.

    Rules look at the signs of weights, which a normalisation that is not folded would hide from them.
    """
    return FoldBatchNorm(keep)(expose(model, keep)).model


def add_relevance(
    model: ir.Model,
    score: str,
    names: Sequence[str],
    descent: FusedRelevance,
    seed: Seed,
    *,
    share_weights: bool = True,
) -> ir.Model:
    """Return a copy of a canonical model with relevance as an output, all of it from one forward pass.

    Its outputs are ``score``, ``names``, and what the descent begins with and ends at, ``relevance/start`` and
    ``relevance/end``, in float32; where it begins with terms also the gradient there, as of ``add_gradients``.

    Args:
        model: it is not changed.
        score: name of the value that is explained.
        names: of further values to compute.
        descent: the walk.
        seed: how the user says what is explained, as of ``add_gradients``.
        share_weights: as of ``add_gradients``.

    Raises:
        DependencyError: the score does not depend on where the walk begins, or that not on where it ends.
        UnsupportedError: operators without a rule, all listed.
    """
    wanted = list(dict.fromkeys([score, *names]))
    model = folded(model, list(dict.fromkeys([*wanted, descent.of, descent.to])))
    graph, table = model.graph, relevance_table(descent.composite)
    refuse_unlisted(model, descent.of, descent.to, table)
    stages = [(score, descent.of, gradient_table())] if descent.start == "terms" else []
    for end, begin, rules in (*stages, (descent.of, descent.to, table)):
        write_out_functions(model, lambda graph, e=end, b=begin: _way(graph, e, b)[0], rules)  # type: ignore[misc]
    op, forward = Builder(graph), frozenset(graph.all_nodes())
    explained = find_value(graph, score)
    weights = class_seed(op, explained) if seed == "class" else cotangent_seed(op, explained)
    outputs = {}
    if descent.start == "terms":
        g = _walked(op, score, descent.of, gradient_table(), weights)
        outputs[gradient_name(descent.of)] = g
        a = find_value(graph, descent.of)
        start = op.ReduceMean(g, list(descent.places), keepdims=1) * _raised(op, a)
    else:
        start = weights * _raised(op, explained)
    outputs[START] = start
    outputs[RELEVANCE] = _walked(op, descent.of, descent.to, table, start)
    graph.outputs.clear()
    graph.outputs.extend(find_value(graph, name) for name in wanted)
    for name, found in outputs.items():
        value = op.Identity(found).value
        value.name = op.claim(name)
        value.shape = found.value.shape
        graph.outputs.append(value)
    if not share_weights:
        separate_weights(graph, op, forward)
    return passes.RemoveUnusedNodesPass()(model).model


def _way(graph: ir.Graph, of: str, to: str) -> tuple[list[ir.Node], set[ir.Value]]:
    return between(graph, [find_value(graph, to)], find_value(graph, of))


def _walked(op: Builder, of: str, to: str, table: Table, start: Var) -> Var:
    """Write the walk from one value of the model to another."""
    graph = op.graph
    nodes, values = _way(graph, of, to)
    backward = BackwardPass(op, nodes, values, table, graph.opset_imports)
    backward.write([(find_value(graph, of), start)])
    return backward.gradient(find_value(graph, to))


def _raised(op: Builder, value: ir.Value) -> Var:
    return op.cast(op.var(value), cotangent_type(value))
