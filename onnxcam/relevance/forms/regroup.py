"""Write normalisations in one order: subtract the mean, divide by the deviation, scale, shift.

Rules of relevance then meet ``x - mean(x)`` however a file has grouped the arithmetic, and one network has one map.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import onnx_ir as ir

from onnxcam.graph.passes.expansions.node_writer import NodeWriter
from onnxcam.relevance.forms.affine import Form, Forms, Product, mean_of
from onnxcam.relevance.gates import is_normaliser
from onnxcam.relevance.origins import Origins

# A normalisation that is written out has fewer nodes after the value that it normalises.
_NODES = 64


def regroup_normalizations(graph: ir.Graph, keep: frozenset[str]) -> None:
    """Rewrite what is a normalisation in another order; the graph is changed, names of results are kept.

    Args:
        graph: canonical.
        keep: names of values that must stay between what they are computed from and what is computed from them.
    """
    origins, order = Origins(), {node: i for i, node in enumerate(graph)}
    done: set[tuple[ir.Value, frozenset[int]]] = set()
    for node in list(order):
        found = None if not node.outputs else mean_of(node.outputs[0])
        if found is None or found in done or not origins.varies(found[0]):
            continue
        done.add(found)
        forms = Forms(*found, origins)
        for reader in _readers(found[0], order):
            form, parts = forms.read(reader), [forms.of(value) for value in reader.inputs]
            if form is None or not form.is_centred or any(part is not None and part.is_centred for part in parts):
                continue
            if not _is_in_order(reader) and not keep & _inside(reader, forms):
                _rewrite(graph, reader, forms, form)


def _is_in_order(node: ir.Node) -> bool:
    return node.op_type == "Sub" and is_normaliser(node)


def _readers(x: ir.Value, order: dict[ir.Node, int]) -> Iterable[ir.Node]:
    """Return the next nodes that depend on a value, in order."""
    found: set[ir.Node] = set()
    waiting = [x]
    while waiting and len(found) < _NODES:
        for node in waiting.pop(0).consumers():
            if node not in found and node in order:
                found.add(node)
                waiting += node.outputs
    return sorted(found, key=order.__getitem__)


def _inside(node: ir.Node, forms: Forms) -> set[str]:
    """Return the names of the values between the normalised one and a node's result."""
    waiting, found = list(node.inputs), set()
    while waiting:
        value = waiting.pop()
        if value is None or value is forms.x or value.name in found or not forms.origins.varies(value):
            continue
        producer = value.producer()
        if producer is not None:
            found.add(str(value.name))
            waiting += producer.inputs
    return found


def _rewrite(graph: ir.Graph, node: ir.Node, forms: Forms, form: Form) -> None:
    """Replace a node by ``a (x - mean) + c``, factor by factor, those that vary first."""
    assert form.a is not None
    op, result, x = NodeWriter(node), node.outputs[0], forms.x
    mean = _like(op.ReduceMean(x, sorted(forms.axes), keepdims=1), x, forms.axes)
    y = _times(op, _like(op.Sub(x, mean), x), form.a, result, forms)
    if form.c is not None:
        shift = _number(op, form.c.number, result)
        y = _like(op.Add(y, _times(op, shift, Product(1.0, form.c.factors), shift, forms)), result)
    name = result.name
    ir.convenience.replace_nodes_and_values(graph, node, [node], op.nodes, [result], [y])
    y.name = name


def _times(op: NodeWriter, y: ir.Value, product: Product, like: ir.Value, forms: Forms) -> ir.Value:
    for value in sorted(product.factors, key=lambda value: not forms.origins.varies(value)):
        for _ in range(abs(product.factors[value])):
            y = _like(op.Mul(y, value) if product.factors[value] > 0 else op.Div(y, value), like)
    return y if product.number == 1 else _like(op.Mul(y, _number(op, product.number, y)), like)


def _number(op: NodeWriter, number: float, like: ir.Value) -> ir.Value:
    return op.constant(np.asarray(number, like.dtype.numpy() if like.dtype is not None else np.float32))


def _like(value: ir.Value, other: ir.Value, ones: Collection[int] = ()) -> ir.Value:
    """Give a new value the type and the shape of another one, with size 1 along some axes."""
    value.type = other.type
    if other.shape is not None:
        value.shape = ir.Shape([1 if axis in ones else size for axis, size in enumerate(other.shape.dims)])
    return value
