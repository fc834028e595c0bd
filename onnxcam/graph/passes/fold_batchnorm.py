"""Fold normalisations with stored statistics, and constants for each channel, into the linear operators beside them.

Exporters fold some of them and leave others, so that two files of one network differ; rules that treat weights by their
sign, as those of relevance propagation do, then give two maps. Folded, they give one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.convenience import replace_nodes_and_values
from onnx_ir.passes.common import RemoveUnusedNodesPass

from onnxcam.graph.analysis.channelwise import Tensor, channelwise
from onnxcam.graph.analysis.linear_unit import LinearUnit, unit_giving, unit_reading
from onnxcam.graph.analysis.linear_weights import Weights, in_own_layout, pads_nothing


class FoldBatchNorm(ir.passes.FunctionalPass):
    """Fold constants for each channel of a canonical model into linear operators.

    BatchNormalization, and Add, Sub, Mul and Div with a constant for each channel, are folded into the Conv,
    ConvTranspose, Gemm or MatMul (and the Add after it) before them that nothing else reads, else into the one after
    them where that is exact: where it pads nothing, or where nothing is added. One Transpose may lie between. What
    cannot be folded stays, and so does a number that several channels share: activations are written out with such.

    The result keeps its name: a normalisation's where it is folded into what is before it, the linear operator's where
    it is folded into what is after. Values between the two are gone, or have new names.
    """

    def __init__(self, keep: Collection[str] = ()) -> None:
        """Take the names of values that must stay as they are."""
        self._keep = frozenset(keep)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Return a folded copy."""
        model = model.clone()
        folder = _Folder(model.graph, self._keep)
        for node in list(model.graph):
            folder.into_producer(node)
        for node in reversed(list(model.graph)):
            folder.into_consumer(node)
        RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, folder.modified)


class _Folder:
    """Folds nodes of one graph, which it changes; remembers whether it has folded any."""

    def __init__(self, graph: ir.Graph, keep: frozenset[str]) -> None:
        self.graph = graph
        self.keep = keep
        self.modified = False
        self._taken = {value.name for node in graph.all_nodes() for value in node.outputs}
        self._taken |= {value.name for value in graph.inputs} | set(graph.initializers)

    def into_producer(self, node: ir.Node) -> None:
        """Fold what a node does into the linear operator before it, if there is one."""
        found = channelwise(node)
        if found is None or not self._alone(found.source):
            return
        transpose = _as_transpose(found.source.producer())
        value = found.source if transpose is None else transpose.inputs[0]
        unit = None if value is None else unit_giving(value, self._alone)
        if value is None or unit is None or not self._alone(value):
            return
        if node.op_type in ("Add", "Sub") and unit.nodes == [unit.node] and unit.node.op_type == "MatMul":
            return  # A MatMul has its bias there.
        if not _lies_on(found.axis, transpose, unit.channel(value), forwards=True):
            return
        weights = unit.weights.followed(found.scale, found.shift)
        old = [*unit.nodes, *([] if transpose is None else [transpose]), node]
        if weights is not None:
            self._replace(old, unit, weights, unit.source, after=transpose)

    def into_consumer(self, node: ir.Node) -> None:
        """Fold what a node does into the linear operator after it, if there is one."""
        found = channelwise(node)
        value = node.outputs[0]
        if found is None or not self._alone(value):
            return
        transpose = _as_transpose(value.consumers()[0])
        if transpose is not None:
            value = transpose.outputs[0]
        unit = unit_reading(value, self._alone)
        if unit is None or not self._alone(value) or (found.shift.any() and not pads_nothing(unit.node)):
            return
        if not _lies_on(found.axis, transpose, unit.channel(value), forwards=False):
            return
        weights = unit.weights.preceded(found.scale, found.shift)
        old = [node, *([] if transpose is None else [transpose]), *unit.nodes]
        if weights is not None:
            self._replace(old, unit, weights, found.source, before=transpose)

    def _alone(self, value: ir.Value) -> bool:
        """Whether one node reads a value, once, and nothing else needs it."""
        return len(value.uses()) == 1 and not value.is_graph_output() and value.name not in self.keep

    def _replace(
        self,
        old: Sequence[ir.Node],
        unit: LinearUnit,
        weights: Weights,
        source: ir.Value,
        before: ir.Node | None = None,
        after: ir.Node | None = None,
    ) -> None:
        """Replace some nodes by an operator of other weights, and the Transpose before or after it.

        The weights become new initializers: other nodes may read the old ones.
        """
        own = in_own_layout(unit.node, weights)
        if not (np.isfinite(own.weight).all() and np.isfinite(own.bias).all()):
            return  # They leave the range of float16.
        new = [] if before is None else [self._like(before, [source])]
        new += self._linear(unit, own, new[-1].outputs[0] if new else source)
        new += [] if after is None else [self._like(after, [new[-1].outputs[0]])]
        end = old[-1].outputs[0]
        name = end.name
        self.modified = True
        replace_nodes_and_values(self.graph, old[-1], old, new, [end], [new[-1].outputs[0]])
        new[-1].outputs[0].name = name

    def _linear(self, unit: LinearUnit, weights: Weights, source: ir.Value) -> list[ir.Node]:
        """Return the nodes of a unit with other weights, applied to another value."""
        inputs, hint = [source, self._weight(weights.weight, unit.node, 1)], unit.node
        biased = unit.is_biased or weights.bias.any()
        bias = self._weight(weights.bias, hint, 2) if biased else None
        if unit.node.op_type != "MatMul":
            return [self._like(hint, inputs if bias is None else [*inputs, bias])]
        product = self._like(hint, inputs)
        return [product] if bias is None else [product, self._like(unit.add, [product.outputs[0], bias], "Add")]

    def _like(self, node: ir.Node | None, inputs: Sequence[ir.Value], op_type: str | None = None) -> ir.Node:
        """Return a node like another one that reads other values."""
        op_type = op_type or (node.op_type if node is not None else "")
        attributes = [] if node is None else [a for a in node.attributes.values() if a.name not in ("alpha", "beta")]
        result = None if node is None else node.outputs[0]
        output = ir.Value(
            name=self._unique(op_type if result is None else str(result.name)),
            type=inputs[0].type if result is None else result.type,
            shape=None if result is None else _copy(result.shape),
        )
        return ir.Node("", op_type, inputs, attributes, outputs=[output], name=None if node is None else node.name)

    def _weight(self, array: Tensor, node: ir.Node, index: int) -> ir.Value:
        """Return a new initializer, named after an input of a node."""
        old = node.inputs[index] if len(node.inputs) > index else None
        name = self._unique(f"{node.outputs[0].name}/bias" if old is None else str(old.name))
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.graph.register_initializer(value)
        return value

    def _unique(self, name: str) -> str:
        count = 1
        while (found := f"{name}/folded{count}") in self._taken:
            count += 1
        self._taken.add(found)
        return found


def _as_transpose(node: ir.Node | None) -> ir.Node | None:
    """Return a node if it is a Transpose whose permutation is given."""
    found = node is not None and node.op_type == "Transpose" and not node.domain
    return node if found and node is not None and "perm" in node.attributes else None


def _lies_on(axis: int | None, transpose: ir.Node | None, channel: int | None, *, forwards: bool) -> bool:
    """Whether an axis is that of a linear operator's channels, seen through what may lie between the two."""
    if axis is None or channel is None:
        return channel is not None
    if transpose is not None:
        order = list(transpose.attributes.get_ints("perm", ()))
        axis = order[axis] if forwards else order.index(axis)
    return axis == channel


def _copy(shape: ir.Shape | None) -> ir.Shape | None:
    return None if shape is None else shape.copy()
