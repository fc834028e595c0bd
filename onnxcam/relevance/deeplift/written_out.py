"""Operators written out in others that have exact rules of their own.

Normalisations become means, squares, roots and quotients. What takes parameters that are mostly fixed in the file is
written out where they are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.rules.normalization import channel_mean, per_channel
from onnxcam.graph.passes.infer_shapes import InferShapes

# From here on GroupNormalization has one scale a channel.
_ONE_SCALE_A_CHANNEL = 21


def write_out(model: ir.Model, nodes: Iterable[ir.Node]) -> None:
    """Replace those of some nodes that have another form here; the model is changed."""
    graph, op = model.graph, Builder(model.graph, "parts")
    chosen = [node for node in nodes if node.domain == "" and node.op_type in _FORMS and not _is_fixed(node)]
    for node in chosen:
        value = node.outputs[0]
        result = _FORMS[node.op_type](op, NodeView(op, node, lambda _: False))
        # The sum of the parts may be of another type; the node gives its name to what replaces it.
        whole = op.emit("Cast", [result], {"to": int(value.dtype or result.dtype)}, dtype=value.dtype).value
        whole.shape, name = value.shape, value.name
        for user, index in list(value.uses()):
            user.replace_input_with(index, whole)
        for index, output in enumerate(graph.outputs):
            if output is value:
                graph.outputs[index] = whole
        value.name, whole.name = op.unique("replaced"), name
        graph.remove(node, safe=False)
    if chosen:
        graph.sort()
        InferShapes()(model)


def _is_fixed(node: ir.Node) -> bool:
    """Whether an operator has parameters, and the file fixes all of them."""
    parameters = [value for value in node.inputs[1:] if value is not None]
    return node.op_type in _PARAMETERS and all(value.const_value is not None for value in parameters)


def _over_deviation(op: Builder, x: Var, axes: list[int], epsilon: float, *, centred: bool = True) -> Var:
    if centred:
        x = x - op.ReduceMean(x, axes, keepdims=1)
    return x / op.Sqrt(op.ReduceMean(x * x, axes, keepdims=1) + epsilon)


def _from_axis(node: NodeView) -> list[int]:
    rank = node.rank()
    return list(range(node.integer("axis", -1) % rank, rank))


def _layer(op: Builder, node: NodeView, *, centred: bool = True) -> Var:
    y = _over_deviation(op, node.x, _from_axis(node), node.number("epsilon", 1e-5), centred=centred) * node.input(1)
    return y + node.input(2) if node.has(2) else y


def _root_mean_square(op: Builder, node: NodeView) -> Var:
    return _layer(op, node, centred=False)


def _instance(op: Builder, node: NodeView) -> Var:
    rank = node.rank()
    y = _over_deviation(op, node.x, list(range(2, rank)), node.number("epsilon", 1e-5))
    return y * per_channel(op, node.input(1), rank) + per_channel(op, node.input(2), rank)


def _group(op: Builder, node: NodeView) -> Var:
    rank, new = node.rank(), op.graph.opset_imports.get("", 0) >= _ONE_SCALE_A_CHANNEL
    x = op.Reshape(node.x, [0, node.integer("num_groups", 1), -1])
    y = _over_deviation(op, x, [2], node.number("epsilon", 1e-5))
    if not new:
        y = y * op.Reshape(node.input(1), [1, -1, 1]) + op.Reshape(node.input(2), [1, -1, 1])
    y = shapes.reshape_like(op, y, node.raw(0))
    return y * per_channel(op, node.input(1), rank) + per_channel(op, node.input(2), rank) if new else y


def _mean_variance(op: Builder, node: NodeView) -> Var:
    axes = node.integers("axes") or [0, 2, 3]
    x = node.x - op.ReduceMean(node.x, axes, keepdims=1)
    return x / (op.Sqrt(op.ReduceMean(x * x, axes, keepdims=1)) + 1e-9)


def _lp(op: Builder, node: NodeView) -> Var:
    axis, x = [node.integer("axis", -1)], node.x
    norm = op.ReduceL1(x, axis, keepdims=1) if node.integer("p", 2) == 1 else op.ReduceL2(x, axis, keepdims=1)
    return x / op.Where(op.Equal(norm, 0), 1, norm)


def _local_response(op: Builder, node: NodeView) -> Var:
    x, size = node.x, node.integer("size", 1)
    mean = channel_mean(op, x * x, size, (size - 1) // 2, size // 2)
    spread = mean * node.number("alpha", 1e-4) + node.number("bias", 1.0)
    return x / op.Pow(spread, node.number("beta", 0.75))


def _batch(op: Builder, node: NodeView) -> Var:
    scale, bias, mean, variance = (per_channel(op, node.input(index), node.rank()) for index in range(1, 5))
    return (node.x - mean) / op.Sqrt(variance + node.number("epsilon", 1e-5)) * scale + bias


def _clip(op: Builder, node: NodeView) -> Var:
    y = op.Max(node.x, node.input(1)) if node.has(1) else node.x
    return op.Min(y, node.input(2)) if node.has(2) else y


# Exact as they are where their parameters do not change.
_PARAMETERS = {"BatchNormalization", "Clip"}
_FORMS: dict[str, Callable[[Builder, NodeView], Var]] = {
    "LayerNormalization": _layer,
    "RMSNormalization": _root_mean_square,
    "InstanceNormalization": _instance,
    "GroupNormalization": _group,
    "MeanVarianceNormalization": _mean_variance,
    "LpNormalization": _lp,
    "LRN": _local_response,
    "BatchNormalization": _batch,
    "Clip": _clip,
}
