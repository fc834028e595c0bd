"""Convolutions. A stride of 1 is differentiated by a convolution too: onnxruntime has its fastest kernels for those."""

from __future__ import annotations

import numpy as np

from onnxcam.autodiff import lowering, shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.lowering import ConvForm
from onnxcam.autodiff.node import NodeView, UnknownShapeError
from onnxcam.autodiff.registry import Cotangents, vjp
from onnxcam.autodiff.windows import Window, scatter_windows, spatial_sizes, window


def _kernel(node: NodeView) -> tuple[int, ...] | None:
    """Return the size of the kernel; None where it is only known while the graph runs."""
    kernel, shape = node.integers("kernel_shape"), node.shape(1)
    if kernel is not None:
        return tuple(kernel)
    return None if shape is None else shapes.static(shape[2:])


@vjp("Conv")
def conv(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = W * x + b: dx = flipped W * dy for stride 1, else the transposed convolution; dW = x * dy; db = sum of dy."""
    dx = _input_gradient(op, node, dy) if node.needs(0) else None
    dw = _weight_gradient(op, node, (node.x, dy), window(node, _kernel(node))) if node.needs(1) else None
    db = op.ReduceSum(dy, [0, *range(2, node.rank())], keepdims=0) if node.needs(2) else None
    return dx, dw, db


def _input_gradient(op: Builder, node: NodeView, dy: Var) -> Var:
    win, group, weight, x = window(node, _kernel(node)), node.integer("group", 1), node.input(1), node.raw(0)
    form = lowering.conv_input_gradient(win, x.shape, weight.shape, group)
    if form is ConvForm.TRANSPOSED:
        dx = scatter_windows(op, dy, weight, win, x, group)
        return lowering.blocked(op, dx, x.shape[1]) if win.rank == 2 and x.shape else dx
    pads, sizes = win.turned, spatial_sizes(x.shape)
    if form is ConvForm.STUFFED and sizes is not None:
        pads, dy = win.stuffed(sizes), _stuffed(op, dy, win, sizes, group)  # one channel a group
    return op.Conv(dy, flipped(op, weight, group, win.kernel), pads=pads, dilations=list(win.dilations), group=group)


def _weight_gradient(op: Builder, node: NodeView, factors: tuple[Var, Var], win: Window) -> Var:
    """Return ``dW[m, c, k] = sum over n, o of per_window[n, m, o] read[n, c, o stride + k dilation - padding]``.

    That is a convolution itself, with samples and channels exchanged, and strides and dilations.

    Args:
        op: where to write.
        node: the convolution.
        factors: what the windows move over, ``[N, C, *in]``, and one number a window, ``[N, M, *out]``.
        win: geometry of the windows.
    """
    (read, per_window), group, rank = factors, node.integer("group", 1), win.rank + 2
    samples = shapes.transpose(op, read, 0, 1, rank)
    if group > 1:
        # [C/g, g N, *in]: each group takes its own stretch of what now stands for channels.
        count, *inside = (shapes.dim(op, read, axis) for axis in (0, *range(2, rank)))
        apart = op.Reshape(samples, shapes.sizes_tensor(op, [group, -1, count, *inside]))
        apart = shapes.transpose(op, apart, 0, 1, rank + 1)
        samples = op.Reshape(apart, shapes.sizes_tensor(op, [0, -1, *inside]))
    kernels = shapes.transpose(op, per_window, 0, 1, rank)
    strides, dilations = list(win.dilations), list(win.strides)
    full = op.Conv(samples, kernels, pads=win.pads, strides=strides, dilations=dilations, group=group)
    # Positions at the end that a stride left over are read as if the kernel were larger.
    kernel = op.Shape(node.raw(1), start=2) if win.fixed is None else list(win.fixed)
    dw = op.Slice(full, [0] * win.rank, kernel, list(range(2, rank)))
    return shapes.transpose(op, dw, 0, 1, rank)


def _stuffed(op: Builder, dy: Var, win: Window, sizes: list[int], channels: int) -> Var:
    """Return dy with ``stride - 1`` zeros after each position."""
    counts = win.counts(sizes)
    if lowering.stuff_transposed(counts):
        # A transposed convolution of one channel and one position, whose kernel is 1.
        single = op.Reshape(dy, [-1, 1, *counts])
        room = [stride - 1 for stride in win.strides]
        one = op.const(np.ones([1] * (win.rank + 2)), dy.dtype)
        apart = op.ConvTranspose(single, one, strides=list(win.strides), output_padding=room)
        filled = [count * stride for count, stride in zip(counts, win.strides, strict=True)]
        return op.Reshape(apart, [-1, channels, *filled])
    # Every position repeated, and all but the first masked.
    repeated = lowering.repeat(op, dy, win.strides)
    first = np.zeros(win.strides)
    first[(0,) * win.rank] = 1
    # Written small: onnxruntime repeats it when it loads the graph.
    return repeated * op.Tile(op.const(first, dy.dtype), counts)


def flipped(op: Builder, weight: Var, group: int, kernel: tuple[int, ...]) -> Var:
    """Return ``[M, C/g, *k]`` as ``[C, M/g, *k]``, every kernel turned around; onnxruntime folds this when it loads."""
    rank = len(kernel) + 2
    if group == 1:
        weight = shapes.transpose(op, weight, 0, 1, rank)
    elif not (weight.shape and weight.shape[:2] == (group, 1)):
        weight = _exchanged(op, weight, group, kernel)
    axes = [axis for axis, size in enumerate(kernel, start=2) if size > 1]
    if not axes:
        return weight
    lowest = -(2**62)
    return op.Slice(weight, [-1] * len(axes), [lowest] * len(axes), axes, [-1] * len(axes))


def _exchanged(op: Builder, weight: Var, group: int, kernel: tuple[int, ...]) -> Var:
    """Return ``[M, C/g, *k]`` as ``[C, M/g, *k]``."""
    out, inner = shapes.dim(op, weight, 0), shapes.dim(op, weight, 1)
    each = out // group if isinstance(out, int) else out / group
    split = op.Reshape(weight, shapes.sizes_tensor(op, [group, each, inner, *kernel]))
    turned = shapes.transpose(op, split, 1, 2, len(kernel) + 3)
    return op.Reshape(turned, shapes.sizes_tensor(op, [inner * group, each, *kernel]))


@vjp("ConvTranspose")
def conv_transpose(op: Builder, node: NodeView, dy: Var) -> Cotangents:
    """y = transposed convolution of x: dx = W * dy with the same strides and padding; dW = dy * x."""
    dx = dw = None
    group = node.integer("group", 1)
    if node.needs(1):
        dw = _weight_gradient(op, node, (dy, node.x), transposed_window(node)[0])
    if node.needs(0):
        win, over = transposed_window(node)
        dx = op.Conv(
            dy,
            node.input(1),
            pads=win.pads,
            strides=list(win.strides),
            dilations=list(win.dilations),
            group=group,
        )
        # A stride swallows what is left over at the end if it is shorter; else the convolution reads windows too many.
        axes = range(2, 2 + win.rank)
        dx = op.Slice(dx, [0] * win.rank, op.Shape(node.raw(0), start=2), list(axes)) if over else dx
    db = op.ReduceSum(dy, [0, *range(2, node.rank())], keepdims=0) if node.needs(2) else None
    return dx, dw, db


def transposed_window(node: NodeView) -> tuple[Window, bool]:
    """Return the window whose adjoint a ConvTranspose node is, and whether a stride or more is left over at the end.

    ``out = stride (in - 1) + output_padding + extent - begin - end``; where ``output_shape`` or SAME padding is given,
    that equation fixes the padding instead.
    """
    kernel = _kernel(node)
    rank = node.rank() - 2 if kernel is None else len(kernel)
    strides = tuple(node.integers("strides") or [1] * rank)
    dilations = tuple(node.integers("dilations") or [1] * rank)
    extra = node.integers("output_padding") or [0] * rank
    pads = node.integers("pads") or [0] * (2 * rank)
    auto, wanted = node.text("auto_pad", "NOTSET"), node.integers("output_shape")
    plain = Window(kernel, strides, dilations, tuple(pads[:rank]), tuple(pads[rank:]))
    if wanted is None and auto in ("NOTSET", "VALID"):
        begin, end = list(plain.pads_begin), list(plain.pads_end)
        over = any(x >= s for x, s in zip(extra, strides, strict=True))
    else:
        begin, end = _padding_for_size(node, plain, extra, wanted, auto)
        over = True
    return Window(kernel, strides, dilations, tuple(begin), tuple(end)), over


def _padding_for_size(
    node: NodeView, plain: Window, extra: list[int], wanted: list[int] | None, auto: str
) -> tuple[list[int], list[int]]:
    sizes = shapes.static((node.shape() or (None,))[2:])
    if sizes is None:
        raise UnknownShapeError("its padding depends on a size that is not known")
    wanted = wanted or [size * stride for size, stride in zip(sizes, plain.strides, strict=True)]
    begin, end = [], []
    for axis, size in enumerate(sizes):
        # A result larger than the windows reach is filled up at its end.
        total = max(plain.strides[axis] * (size - 1) + extra[axis] + plain.extents[axis] - wanted[axis], 0)
        small, large = total // 2, total - total // 2
        # ONNX puts the larger half at the end for SAME_UPPER and at the beginning otherwise.
        begin.append(small if auto == "SAME_UPPER" else large)
        end.append(large if auto == "SAME_UPPER" else small)
    return begin, end
