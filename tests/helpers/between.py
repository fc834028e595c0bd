"""A sample's node after a layer: all inputs that can change are numbers of it, and change together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from tests.helpers.sample import Array, Sample

LAYER = "layer"


def after_layer(sample: Sample, dtype: npt.DTypeLike) -> tuple[onnx.ModelProto, Array]:
    """Return a model that begins at a layer, and the value of that layer which gives the node the sample's inputs.

    The model's input ``layer`` ``[1, numbers]`` is added to the inputs of the baseline, which a layer of zeros gives:
    the sample's own numbers in reverse order, so that they stay where the operator is defined.
    """
    proto = sample.model(dtype)
    graph = proto.graph
    variables = {name: array.astype(dtype) for name, array in sample.variables.items()}
    for entry in [entry for entry in graph.input if entry.name in variables]:
        graph.input.remove(entry)
    made, parts, start = [], [], 0
    for name, x in variables.items():
        there = np.flip(x.reshape(-1)).reshape(x.shape).copy()
        bounds = [np.array([at]) for at in (start, start + x.size, 1)]
        stored = {"there": there, "shape": np.array(x.shape, np.int64)}
        stored |= dict(zip(("start", "end", "axis"), bounds, strict=True))
        graph.initializer.extend(numpy_helper.from_array(array, f"{name}/{key}") for key, array in stored.items())
        made += [
            helper.make_node("Slice", [LAYER, f"{name}/start", f"{name}/end", f"{name}/axis"], [f"{name}/flat"]),
            helper.make_node("Reshape", [f"{name}/flat", f"{name}/shape"], [f"{name}/change"]),
            helper.make_node("Add", [f"{name}/change", f"{name}/there"], [name]),
        ]
        parts.append((x - there).reshape(-1))
        start += x.size
    nodes = [*made, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph.input.insert(0, helper.make_tensor_value_info(LAYER, kind, [1, start]))
    return proto, np.concatenate(parts)[None]
