"""What a value depends on: the model's input, weights alone, linear layers before it."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff.registry import zero_gradients
from onnxcam.graph.analysis.reachability import any_ancestor
from onnxcam.graph.analysis.subgraphs import reads
from onnxcam.graph.operators import Trait, operators_with

LINEAR = operators_with(Trait.WEIGHTED)


class Origins:
    """Finds origins of values in one graph, to which nodes may be added; results are kept."""

    def __init__(self) -> None:
        self._varying: dict[ir.Value, bool] = {}
        self._after_layer: dict[ir.Value, bool] = {}
        self._constant = zero_gradients()

    def varies(self, value: ir.Value | None) -> bool:
        """Whether a value changes smoothly with an input of the model, whether or not relevance is wanted there."""
        return value is not None and any_ancestor(value, self._is_input, self._varying, self._sources)

    def data_input(self, node: ir.Node) -> int | None:
        """Return the position of the input that a linear layer is applied to, the other one being weights.

        None for other nodes, and where both vary.
        """
        if node.op_type not in LINEAR or node.domain:
            return None
        varying = [index for index, value in enumerate(node.inputs) if self.varies(value)]
        return varying[0] if len(varying) == 1 and varying[0] < 2 else None

    def is_first(self, node: ir.Node) -> bool:
        """Whether no other linear layer lies before one."""
        return not any(
            any_ancestor(value, self._is_layer, self._after_layer, self._sources) for value in self._sources(node)
        )

    def _is_input(self, value: ir.Value) -> bool:
        return value.producer() is None and not value.is_initializer() and value.const_value is None

    def _is_layer(self, value: ir.Value) -> bool:
        node = value.producer()
        return node is not None and self.data_input(node) is not None

    def _sources(self, node: ir.Node) -> list[ir.Value]:
        return [] if (node.domain, node.op_type) in self._constant else list(reads(node))
