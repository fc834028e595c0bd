"""Cut a graph in two: the trunk computes some values, the head computes the outputs from them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import onnx_ir as ir
import onnx_ir.passes.common as passes

from onnxcam.errors import DependencyError
from onnxcam.graph.analysis.reachability import ancestors, between
from onnxcam.graph.analysis.subgraphs import reads
from onnxcam.graph.analysis.values import data_inputs, find_value
from onnxcam.graph.passes.expose import expose


@dataclass(frozen=True, eq=False)
class Cut:
    """A model in two parts.

    Attributes:
        trunk: from the model's inputs to the values of the cut, its outputs; None where those are inputs themselves.
        head: from there to those of the model's outputs that depend on them, under their own names.
        at: the wanted values: the head's first inputs.
        others: further values that the head reads, its other inputs: shortcuts past the cut, sizes, the model's own
            inputs. Weights are none of them; each part has its own.
    """

    trunk: ir.Model | None
    head: ir.Model
    at: tuple[str, ...]
    others: tuple[str, ...]


def cut(model: ir.Model, at: Sequence[str]) -> Cut:
    """Cut a canonical model, which is not changed, at some values.

    Args:
        model: what it has to compute are its outputs; ``expose`` chooses them.
        at: names of values or nodes.

    Raises:
        NameNotFoundError: no value has such a name.
        DependencyError: no output depends on one of them.
    """
    head = model.clone()
    graph = head.graph
    values = list(dict.fromkeys(find_value(graph, name) for name in at))
    nodes, reached = _after(graph, values)
    crossing = [value for value in _read(nodes) if value not in reached and not _is_fixed(value)]
    for value in values:
        if value not in graph.outputs and not any(value is entry for entry in _read(nodes)):
            raise DependencyError(f"no output of the model depends on '{value.name}'; cut at a value before one")
    names = tuple(str(value.name) for value in values)
    others = tuple(str(value.name) for value in crossing)
    outputs = [value for value in graph.outputs if value in reached]
    graph.outputs.clear()
    graph.outputs.extend(outputs)
    ends = [_as_input(graph, value) for value in [*values, *crossing]]
    graph.inputs.clear()
    graph.inputs.extend(ends)
    head = passes.RemoveUnusedNodesPass()(head).model
    given = {str(value.name) for value in data_inputs(model.graph)}
    made = [name for name in (*names, *others) if name not in given]
    return Cut(expose(model, made) if made else None, head, names, others)


def _after(graph: ir.Graph, values: Sequence[ir.Value]) -> tuple[list[ir.Node], set[ir.Value]]:
    """Return the nodes between the values of a cut and the outputs, and the values there.

    What computes one value of the cut from another is left to the trunk.
    """
    ends = set(values)

    def through(node: ir.Node, reached: Container[ir.Value]) -> list[ir.Value]:
        return [value for value in node.outputs if value not in ends]

    return between(graph, values, graph.outputs, through)


def _read(nodes: Sequence[ir.Node]) -> list[ir.Value]:
    """Return what nodes read, each once."""
    return list(dict.fromkeys(value for node in nodes for value in reads(node)))


def _is_fixed(value: ir.Value) -> bool:
    """Whether a value depends on weights alone."""
    return all(_is_weight(entry) or _is_computed(entry) for entry in ancestors(value))


def _is_weight(value: ir.Value) -> bool:
    return value.producer() is None and (value.is_initializer() or value.const_value is not None)


def _is_computed(value: ir.Value) -> bool:
    """Whether a value is computed from others; random numbers are not."""
    producer = value.producer()
    return producer is not None and any(True for _ in reads(producer))


def _as_input(graph: ir.Graph, value: ir.Value) -> ir.Value:
    """Return a new input that everything reads in place of a value; an input is returned as it is."""
    if value.producer() is None:
        return value
    name = str(value.name)
    end = ir.Value(name=name, shape=value.shape, type=value.type)
    value.name = f"{name}/cut"
    is_output = any(output is value for output in graph.outputs)
    value.replace_all_uses_with(end, replace_graph_outputs=is_output)
    return end
