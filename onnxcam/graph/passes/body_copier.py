"""Copy the body of a loop or a branch into the graph around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxcam.graph.passes.clone import clone_node


class BodyCopier:
    """Replaces a node that holds a graph by copies of that graph's nodes, one for each step.

    The weights of the body join the main graph, where all of its branches see them.
    """

    def __init__(self, main: ir.Graph, node: ir.Node, body: ir.Graph) -> None:
        assert node.graph is not None
        self.main, self.graph, self.node, self.body = main, node.graph, node, body
        self.nodes: list[ir.Node] = []
        self._prefix = f"{node.name or node.outputs[0].name}/unrolled"
        self._weights: dict[ir.Value, ir.Value] = {}
        for value in body.initializers.values():
            self._weights[value] = self.constant(value.const_value, str(value.name))

    def constant(self, tensor: ir.TensorProtocol | None, hint: str) -> ir.Value:
        """Return a new initializer of the main graph."""
        if tensor is None:
            raise TypeError(f"'{hint}' has no numbers")
        name = f"{self._prefix}/{hint}"
        value = ir.Value(
            name=name, shape=ir.Shape(tensor.numpy().shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        self.main.register_initializer(value)
        return value

    def number(self, number: int | list[int], hint: str) -> ir.Value:
        """Return a new initializer of type int64."""
        return self.constant(ir.tensor(np.array(number, np.int64)), hint)

    def emit(self, op_type: str, inputs: Sequence[ir.Value | None], hint: str, **attributes: int) -> ir.Value:
        """Append one node that is not in the body; return its output."""
        name = f"{self._prefix}/{hint}"
        node = ir.node(op_type, inputs, attributes, outputs=[ir.Value(name=name)], name=name)
        self.nodes.append(node)
        return node.outputs[0]

    def run(self, given: Mapping[ir.Value, ir.Value], step: int) -> list[ir.Value]:
        """Append a copy of the body; return its outputs.

        Args:
            given: values that the copy reads in place of the body's inputs.
            step: a number that makes the copy's names unique.
        """
        values = {**self._weights, **given}
        self.nodes += [clone_node(inner, values, lambda name: f"{self._prefix}/{step}/{name}") for inner in self.body]
        return [values.get(value, value) for value in self.body.outputs]

    def replace(self, results: Sequence[ir.Value]) -> None:
        """Put the nodes appended so far in place of the node, and these values in place of its outputs."""
        own = {value for node in self.nodes for value in node.outputs}
        seen: set[ir.Value] = set()
        new = []
        for index, value in enumerate(results):
            # A result that is not this node's own keeps its name beside this one.
            alone = value in own and value not in seen
            new.append(value if alone else self.emit("Identity", [value], f"result_{index}"))
            seen.add(value)
        ir.convenience.replace_nodes_and_values(
            self.graph, self.node, [self.node], self.nodes, list(self.node.outputs), new
        )
