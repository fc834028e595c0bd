"""What depends on what: the values before a value, after some values, and between values.

A value that only a node's branches or its loop's body read counts as read by the node that holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import TypeAlias

import onnx_ir as ir

from onnxcam.graph.analysis.dtypes import carries_signal
from onnxcam.graph.analysis.subgraphs import reads
from onnxcam.graph.analysis.values import data_inputs

# Which outputs of a node are reached from what it reads, given all values that have been reached so far.
Through: TypeAlias = Callable[[ir.Node, Container[ir.Value]], Iterable[ir.Value]]


def every_output(node: ir.Node, reached: Container[ir.Value]) -> Iterable[ir.Value]:
    """Return all outputs of a node, numbers of whatever type."""
    return node.outputs


def signal_outputs(node: ir.Node, reached: Container[ir.Value]) -> Iterable[ir.Value]:
    """Return the outputs of a node that hold real numbers, as they are or quantised; not sizes and positions."""
    return [value for value in node.outputs if carries_signal(node, value, reached)]


def ancestors(value: ir.Value, goes_on: Callable[[ir.Value], bool] = lambda value: True) -> set[ir.Value]:
    """Return everything that a value is computed from, the value included.

    Args:
        value: may be of an inner graph.
        goes_on: whether to include what a value is computed from; by default of every value.
    """
    found, waiting = {value}, [value]
    while waiting:
        last = waiting.pop()
        producer = last.producer()
        if producer is not None and goes_on(last):
            new = [entry for entry in reads(producer) if entry not in found]
            found.update(new)
            waiting += new
    return found


def any_ancestor(
    value: ir.Value,
    holds: Callable[[ir.Value], bool],
    known: dict[ir.Value, bool],
    sources: Callable[[ir.Node], Iterable[ir.Value]] = reads,
) -> bool:
    """Return whether something holds of a value or of any that it is computed from.

    Args:
        value: where to begin; deep graphs allow no recursion.
        holds: the property that is looked for.
        known: results so far, to which new ones are added; they stay right while nodes are only added to the graph.
        sources: which of the values that a node reads count.
    """
    waiting = [value]
    while waiting:
        top = waiting[-1]
        node = top.producer()
        before = [] if node is None else list(sources(node))
        unknown = [entry for entry in before if entry not in known]
        if top not in known and not holds(top) and unknown:
            waiting.extend(unknown)
            continue
        known.setdefault(top, holds(top) or any(known[entry] for entry in before if entry in known))
        waiting.pop()
    return known[value]


def reached_outputs(node: ir.Node, reached: Container[ir.Value], through: Through = every_output) -> list[ir.Value]:
    """Return the outputs of a node that are reached; none where it reads nothing that is."""
    return list(through(node, reached)) if any(value in reached for value in reads(node)) else []


def descendants(graph: ir.Graph, sources: Iterable[ir.Value], through: Through = every_output) -> set[ir.Value]:
    """Return everything in a graph that depends on some values, these included.

    Args:
        graph: in topological order; values inside branches and bodies are not listed.
        sources: the values to begin at.
        through: which outputs of a node depend on what it reads in the wanted sense.
    """
    found = set(sources)
    for node in graph:
        found.update(reached_outputs(node, found, through))
    return found


def between(
    graph: ir.Graph, sources: Iterable[ir.Value], ends: Iterable[ir.Value], through: Through = every_output
) -> tuple[list[ir.Node], set[ir.Value]]:
    """Return the nodes on the paths from a source to an end, in order, and the values on these paths.

    A node that computes a source is not among them, unless it lies on a path from another source.
    """
    reached = descendants(graph, sources, through)
    needed, nodes = set(ends), []
    for node in reversed(graph):
        if any(value in needed for value in reached_outputs(node, reached, through)):
            nodes.append(node)
            needed.update(reads(node))
    return nodes[::-1], reached & needed


def signal_path(
    graph: ir.Graph, score: ir.Value, sources: Sequence[ir.Value] | None = None
) -> tuple[list[ir.Node], set[ir.Value]]:
    """Return the nodes that carry real numbers from the model's inputs to the score, in order, and these numbers.

    Args:
        graph: canonical.
        score: where the paths end.
        sources: the inputs that the paths begin at; all of them by default.
    """
    return between(graph, data_inputs(graph) if sources is None else sources, [score], signal_outputs)


def bottlenecks(nodes: Sequence[ir.Node], on_path: set[ir.Value]) -> list[ir.Value]:
    """Return the values that every path passes through: where one is computed, no other is still to be read.

    Args:
        nodes: those between some sources and an end, in order.
        on_path: the values on these paths.
    """
    last_use = {v: step for step, node in enumerate(nodes) for v in reads(node) if v in on_path}
    made = {v: step for step, node in enumerate(nodes) for v in node.outputs if v in on_path}
    found = []
    waiting = {v for v in on_path if v not in made and v in last_use}
    for step, node in enumerate(nodes):
        waiting = {v for v in waiting if last_use[v] > step}
        waiting |= {v for v in node.outputs if v in on_path and last_use.get(v, -1) > step}
        if len(waiting) == 1:
            found += [v for v in node.outputs if v in waiting]
    return found
