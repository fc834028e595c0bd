"""Operators that onnxruntime computes in float32 only, written with those that it computes in float64 too.

Slow, and meant for one use: to take differences that are exact enough to judge a gradient by.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import TypeAlias

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes

from onnxcam.autodiff.builder import Builder, UnknownShapeError, Var
from onnxcam.autodiff.erf import erf
from onnxcam.autodiff.node import NodeView
from onnxcam.autodiff.rules.resize import resized_axes, resizer
from onnxcam.autodiff.windows import Window, spatial_sizes, window

Writing: TypeAlias = Callable[[Builder, NodeView], Var]


def rewrite_for_float64(model: ir.Model) -> ir.Model:
    """Return a copy of a float64 model whose operators without a float64 kernel are written with others that have one.

    An operator stays as it is where that needs a size which is not known; loading the model then reports it.
    """
    model = model.clone()
    graph = model.graph
    op = Builder(graph, "double")
    for node in list(graph):
        result = _rewritten(op, node)
        if result is None:
            continue
        old = node.outputs[0]
        name, result.shape = str(old.name), old.shape
        old.name, result.name = op.unique("replaced"), name
        old.replace_all_uses_with(result, replace_graph_outputs=True)
    graph.sort()
    return passes.RemoveUnusedNodesPass()(model).model


def _rewritten(op: Builder, node: ir.Node) -> ir.Value | None:
    """Write a node with other operators and return its result; None where the node is not rewritten.

    That is so where onnxruntime has a float64 kernel for it, and where a size is not known.
    """
    write = _WRITINGS.get(node.op_type) if node.domain == "" else None
    if write is None or node.outputs[0].dtype != ir.DataType.DOUBLE:
        return None
    try:
        return write(op, NodeView(op, node, lambda value: False)).value
    except UnknownShapeError:
        return None


def _patches(op: Builder, x: Var, win: Window, fill: float) -> list[tuple[tuple[int, ...], Var]]:
    """Return for each position of a window what all windows have there, ``[N, C, *out]``."""
    inside = spatial_sizes(x.shape)
    if inside is None:
        raise UnknownShapeError("the size of its input is not known")
    counts = win.counts(inside)
    reach = [(n - 1) * s + e for n, s, e in zip(counts, win.strides, win.extents, strict=True)]
    # Only as much as the windows cover: in ceil mode that is more than the padding.
    missing = [r - b - n for r, b, n in zip(reach, win.pads_begin, inside, strict=True)]
    pads = [0, 0, *win.pads_begin, 0, 0, *(max(m, 0) for m in missing)]
    padded = op.Pad(x, pads, op.const(fill, x.dtype)) if any(pads) else x
    axes = list(range(2, 2 + win.rank))
    found = []
    for position in product(*map(range, win.kernel)):
        starts = [k * d for k, d in zip(position, win.dilations, strict=True)]
        ends = [a + (n - 1) * s + 1 for a, n, s in zip(starts, counts, win.strides, strict=True)]
        found.append((position, op.Slice(padded, starts, ends, axes, list(win.strides))))
    return found


def _conv(op: Builder, node: NodeView) -> Var:
    """One product of matrices for each position of the kernel, summed."""
    x, weight = node.raw(0), node.raw(1)
    shape = weight.shape
    if shape is None or not all(isinstance(size, int) for size in shape) or not node.node.outputs[0].shape:
        raise UnknownShapeError("the size of its kernel is not known")
    outputs, inputs, *kernel = (int(size or 0) for size in shape)
    group, win = node.integer("group", 1), window(node, kernel)
    # [group, outputs a group, inputs a group] for each position.
    matrices = op.Transpose(op.Reshape(weight, [group, outputs // group, inputs, -1]), perm=[3, 0, 1, 2])
    terms = []
    for index, (_, patch) in enumerate(_patches(op, x, win, 0.0)):
        matrix = op.Gather(matrices, op.const(np.array(index)), axis=0)
        columns = op.Reshape(patch, [0, group, inputs, -1])
        terms.append(matrix * columns if inputs == outputs // group == 1 else matrix @ columns)
    total = op.Sum(*terms) if len(terms) > 1 else terms[0]
    counts = win.counts(spatial_sizes(x.shape) or [])
    y = op.Reshape(total, [0, outputs, *counts])
    return y + op.Reshape(node.raw(2), [outputs, *[1] * win.rank]) if node.has(2) else y


def _average_pool(op: Builder, node: NodeView) -> Var:
    """The sum of a window over the number of its positions that count."""
    win = window(node, node.integers("kernel_shape") or ())
    x = node.raw(0)
    sizes = spatial_sizes(x.shape)
    if sizes is None:
        raise UnknownShapeError("the size of its input is not known")
    include = bool(node.integer("count_include_pad", 0))
    counted = op.const(np.ones((1, 1, *sizes)), x.dtype)
    outer = Window(win.kernel, win.strides, win.dilations, win.pads_begin, win.pads_end, win.ceil)
    if include:
        pads = [0, 0, *win.pads_begin, 0, 0, *win.pads_end]
        ones = np.ones((1, 1, *(n + b + e for n, b, e in zip(sizes, win.pads_begin, win.pads_end, strict=True))))
        counted = op.const(ones, x.dtype)
        x = op.emit("Pad", [x, pads], shape=(*(x.shape or ())[:2], *ones.shape[2:]))
        zero = (0,) * win.rank
        outer = Window(win.kernel, win.strides, win.dilations, zero, zero, win.ceil)
    total = op.Sum(*[patch for _, patch in _patches(op, x, outer, 0.0)])
    return total / op.Sum(*[patch for _, patch in _patches(op, counted, outer, 0.0)])


def _resize(op: Builder, node: NodeView) -> Var:
    """A product with the interpolation matrix of each axis, which a float32 Resize of the identity gives."""
    x, rank = node.raw(0), node.rank()
    shape = x.shape or ()
    result = x
    for axis in resized_axes(node, rank):
        if not isinstance(shape[axis], int):
            raise UnknownShapeError("the size of its input is not known")
        eye = op.const(np.eye(int(shape[axis] or 0), dtype=np.float32))
        matrix = op.cast(resizer(op, node, axis)(eye), x.dtype)
        perm = list(range(rank))
        perm[axis], perm[-1] = perm[-1], perm[axis]
        result = op.Transpose(op.Transpose(result, perm=perm) @ matrix, perm=perm)
    return result


def _over_space(reduction: str) -> Writing:
    def write(op: Builder, node: NodeView) -> Var:
        return op.emit(reduction, [node.raw(0), list(range(2, node.rank()))], {"keepdims": 1})

    return write


def _instance_normalization(op: Builder, node: NodeView) -> Var:
    x, axes = node.raw(0), list(range(2, node.rank()))
    centred = x - op.ReduceMean(x, axes, keepdims=1)
    spread = op.ReduceMean(centred * centred, axes, keepdims=1) + node.number("epsilon", 1e-5)
    scale, bias = (op.Reshape(node.raw(i), [-1, *[1] * len(axes)]) for i in (1, 2))
    return centred / op.Sqrt(spread) * scale + bias


def _leaky(op: Builder, node: NodeView) -> Var:
    return op.Where(node.raw(0) < 0, node.raw(0) * node.number("alpha", 0.01), node.raw(0))


def _prelu(op: Builder, node: NodeView) -> Var:
    return op.Where(node.raw(0) < 0, node.raw(0) * node.raw(1), node.raw(0))


def _hard_sigmoid(op: Builder, node: NodeView) -> Var:
    line = node.raw(0) * node.number("alpha", 0.2) + node.number("beta", 0.5)
    return op.Clip(line, op.const(0, line.dtype), op.const(1, line.dtype))


def _hard_swish(op: Builder, node: NodeView) -> Var:
    x = node.raw(0)
    return x * op.Clip(x / 6 + 0.5, op.const(0, x.dtype), op.const(1, x.dtype))


def _elu(op: Builder, node: NodeView) -> Var:
    x = node.raw(0)
    return op.Where(x < 0, (op.Exp(op.Min(x, op.const(0, x.dtype))) - 1) * node.number("alpha", 1.0), x)


def _softplus(op: Builder, node: NodeView) -> Var:
    x = node.raw(0)
    return op.Relu(x) + op.Log(op.Exp(-op.Abs(x)) + 1)


def _mish(op: Builder, node: NodeView) -> Var:
    return node.raw(0) * op.Tanh(_softplus(op, node))


def _mean(op: Builder, node: NodeView) -> Var:
    return op.Sum(*[node.raw(i) for i in range(node.count)]) / node.count


def _gelu(op: Builder, node: NodeView) -> Var:
    x = node.raw(0)
    if node.text("approximate", "none") == "tanh":
        return x * 0.5 * (op.Tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1)
    return x * 0.5 * (erf(op, x * math.sqrt(0.5)) + 1)


_WRITINGS: dict[str, Writing] = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "Elu": _elu,
    "Erf": lambda op, node: erf(op, node.raw(0)),
    "Gelu": _gelu,
    "GlobalAveragePool": _over_space("ReduceMean"),
    "GlobalMaxPool": _over_space("ReduceMax"),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "InstanceNormalization": _instance_normalization,
    "LeakyRelu": _leaky,
    "Mean": _mean,
    "Mish": _mish,
    "PRelu": _prelu,
    "Resize": _resize,
    "Softplus": _softplus,
}
