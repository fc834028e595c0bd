"""Which values depend on which, on a graph with a branch, a size and a part that leads nowhere."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir
import pytest

from onnxcam.graph.analysis.reachability import (
    ancestors,
    any_ancestor,
    between,
    bottlenecks,
    descendants,
    signal_path,
)
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.io.load import load
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.models import model

# ``c`` is read by the branches alone; ``r`` depends on the sizes of ``a``, not on its numbers.
TEXT = """g (float[n, 3] x, bool flag) => (float[n, 3] y, float[k] size) {
    a = Relu (x)
    b = Neg (a)
    c = Exp (a)
    s = Shape (b)
    r = Cast <to = 1> (s)
    size = Sqrt (r)
    d = If (flag) <
        then_branch = yes () => (float[n, 3] p) { p = Mul (b, c) },
        else_branch = no () => (float[n, 3] q) { q = Abs (c) }
    >
    y = Sin (d)
}"""


@pytest.fixture
def graph() -> ir.Graph:
    return canonicalize(load(model(TEXT)).ir).graph


def _names(values: Iterable[ir.Value]) -> set[str]:
    return {str(value.name) for value in values}


def _outputs(nodes: Iterable[ir.Node]) -> list[str]:
    return [str(node.outputs[0].name) for node in nodes]


def test_ancestors_of_a_branch_are_what_it_reads(graph: ir.Graph) -> None:
    assert _names(ancestors(find_value(graph, "y"))) == {"y", "d", "flag", "b", "c", "a", "x"}


def test_ancestors_end_where_they_should(graph: ir.Graph) -> None:
    size = find_value(graph, "size")
    assert _names(ancestors(size, lambda value: value.name != "s")) == {"size", "r", "s"}


def test_a_question_is_asked_of_every_ancestor_once(graph: ir.Graph) -> None:
    asked: list[str] = []

    def is_flag(value: ir.Value) -> bool:
        asked.append(str(value.name))
        return value.name == "flag"

    known: dict[ir.Value, bool] = {}
    assert any_ancestor(find_value(graph, "y"), is_flag, known)
    assert not any_ancestor(find_value(graph, "size"), is_flag, known)
    again = len(asked)
    assert not any_ancestor(find_value(graph, "r"), is_flag, known)
    assert set(asked[again:]) <= {"r"}


def test_descendants_include_what_a_branch_makes_of_a_value(graph: ir.Graph) -> None:
    assert _names(descendants(graph, [find_value(graph, "c")])) == {"c", "d", "y"}


def test_nodes_between_leave_out_what_computes_the_source(graph: ir.Graph) -> None:
    nodes, values = between(graph, [find_value(graph, "b")], [find_value(graph, "y")])
    assert _outputs(nodes) == ["d", "y"]
    assert _names(values) == {"b", "d", "y"}


def test_nodes_between_lead_from_one_source_to_another(graph: ir.Graph) -> None:
    sources = [find_value(graph, "a"), find_value(graph, "b")]
    nodes, values = between(graph, sources, [find_value(graph, "y")])
    assert _outputs(nodes) == ["b", "c", "d", "y"]
    assert _names(values) == {"a", "b", "c", "d", "y"}


def test_no_signal_passes_a_shape(graph: ir.Graph) -> None:
    size = find_value(graph, "size")
    assert _outputs(between(graph, [find_value(graph, "x")], [size])[0]) == ["a", "b", "s", "r", "size"]
    assert signal_path(graph, size) == ([], set())


def test_every_path_passes_the_bottlenecks(graph: ir.Graph) -> None:
    y, x = find_value(graph, "y"), find_value(graph, "x")
    assert [value.name for value in bottlenecks(*signal_path(graph, y, [x]))] == ["a", "d"]
