"""Fix a model's inputs: their sizes, and the values of those that hold sizes or indices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from onnxcam.graph.passes.infer_shapes import InferShapes


class FixInputs(ir.passes.FunctionalPass):
    """Give inputs the sizes of some arrays; integers and conditions among them become constants."""

    def __init__(self, feeds: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take the arrays by name of the input; inputs that are not named stay as they are."""
        self._feeds = feeds

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Return a copy with fixed inputs and shapes inferred anew."""
        model = model.clone()
        graph = model.graph
        for value in list(graph.inputs):
            if value.name not in self._feeds:
                continue
            array = self._feeds[str(value.name)]
            value.shape = ir.Shape(array.shape)
            if array.dtype.kind in "iub":
                value.const_value = ir.tensor(array, name=value.name)
                graph.inputs.remove(value)
                graph.register_initializer(value)
        for node in graph:
            for value in node.outputs:
                value.shape = None
        InferShapes()(model)
        return ir.passes.PassResult(model, True)
