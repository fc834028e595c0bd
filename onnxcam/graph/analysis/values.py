"""Values by name."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from onnxcam.errors import NameNotFoundError, did_you_mean


def data_inputs(graph: ir.Graph) -> list[ir.Value]:
    """Return the inputs that a user feeds, without weights."""
    return [value for value in graph.inputs if value.name not in graph.initializers]


def shape_tuple(shape: ir.Shape | None) -> tuple[int | str | None, ...]:
    """Return a number, a symbol's name or None for each axis; nothing where the rank is not known."""
    return () if shape is None else tuple(dim if isinstance(dim, int) else dim.value for dim in shape)


def named_values(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield inputs and every node's outputs, in order."""
    yield from data_inputs(graph)
    for node in graph:
        yield from (value for value in node.outputs if value.name)


def find_value(graph: ir.Graph, name: str) -> ir.Value:
    """Return the value of that name, or the first output of the node of that name.

    Raises:
        NameNotFoundError: there is none; near names are suggested.
    """
    values = {str(value.name): value for value in named_values(graph)}
    if name in values:
        return values[name]
    nodes = {node.name: node for node in graph if node.name}
    if name in nodes:
        return nodes[name].outputs[0]
    raise NameNotFoundError(
        f"the model has no value or node named '{name}'{did_you_mean(name, [*values, *nodes])} "
        "(onnxcam inspect lists the layers)"
    )


def has_name(graph: ir.Graph, name: str) -> bool:
    """Whether a value or a node has that name."""
    return any(value.name == name for value in named_values(graph)) or any(node.name == name for node in graph)
