"""Choose which values of a model are its outputs."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
import onnx_ir.passes.common as passes

from onnxcam.graph.analysis.values import find_value


def expose(model: ir.Model, names: Sequence[str]) -> ir.Model:
    """Return a copy of the model whose outputs are exactly the named values; what they do not need is dropped."""
    model = model.clone()
    values = [find_value(model.graph, name) for name in names]
    model.graph.outputs.clear()
    model.graph.outputs.extend(values)
    return passes.RemoveUnusedNodesPass()(model).model
