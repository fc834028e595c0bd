"""Shape arithmetic inside the graph: constants where the file fixes the size, Shape nodes where it does not."""

from __future__ import annotations

from math import prod

import numpy as np

from onnxcam.autodiff.builder import Builder, Shape, Var


def static(shape: Shape | None) -> tuple[int, ...] | None:
    """Return the shape if every axis is a known number."""
    if shape is None:
        return None
    sizes = tuple(dim for dim in shape if isinstance(dim, int))
    return sizes if len(sizes) == len(shape) else None


def shape_tensor(op: Builder, x: Var) -> Var:
    """Return the shape of ``x`` as an int64 tensor."""
    sizes = static(x.shape)
    return op.ints(sizes) if sizes is not None else op.Shape(x)


def dim(op: Builder, x: Var, axis: int) -> int | Var:
    """Return the size of one axis: a number, or an int64 tensor of shape [1]."""
    size = None if x.shape is None else x.shape[axis]
    if isinstance(size, int):
        return size
    end = {} if axis == -1 else {"end": axis + 1}
    return op.Shape(x, start=axis, **end)


def dim_tensor(op: Builder, x: Var, axis: int) -> Var:
    """Return the size of one axis as an int64 tensor of shape [1]."""
    size = dim(op, x, axis)
    return op.ints([size]) if isinstance(size, int) else size


def index_along(op: Builder, x: Var, axis: int, rank: int) -> Var:
    """Return the indices 0, 1, ... of an axis of ``x``, in ``rank`` axes of which the others have size 1."""
    size = op.Squeeze(dim_tensor(op, x, axis), [0])
    index = op.emit("Range", [op.const(np.int64(0)), size, op.const(np.int64(1))])
    return op.Reshape(index, [-1 if a == axis else 1 for a in range(rank)])


def sizes_tensor(op: Builder, parts: list[int | Var]) -> Var:
    """Join numbers and [1]-shaped tensors into one int64 tensor."""
    if all(isinstance(part, int) for part in parts):
        return op.ints([part for part in parts if isinstance(part, int)])
    return op.Concat(*[op.ints([part]) if isinstance(part, int) else part for part in parts], axis=0)


def reshape_like(op: Builder, dy: Var, x: Var) -> Var:
    """Return ``dy`` in the shape of ``x``, which has as many elements."""
    if x.shape is not None:
        unknown = [dim for dim in x.shape if not isinstance(dim, int)]
        known = [dim for dim in x.shape if isinstance(dim, int)]
        if len(unknown) <= 1 and prod(known) > 0:
            return op.Reshape(dy, [dim if isinstance(dim, int) else -1 for dim in x.shape])
    return op.Reshape(dy, shape_tensor(op, x))


def zeros_like(op: Builder, x: Var, dtype: Var) -> Var:
    """Return zeros of the shape of ``x`` and of the type of ``dtype``."""
    return op.Expand(op.const(0, dtype.dtype), shape_tensor(op, x))


def transpose(op: Builder, x: Var, first: int, second: int, rank: int) -> Var:
    """Return ``x`` with two axes exchanged."""
    perm = list(range(rank))
    perm[first], perm[second] = perm[second], perm[first]
    return op.Transpose(x, perm=perm)


def unbroadcast(op: Builder, dy: Var, result: Shape | None, x: Var) -> Var:
    """Sum a cotangent of the broadcast ``result`` over the axes along which ``x`` was repeated.

    Axes of known size are settled while the graph is written; the others by comparing shapes while it runs.
    """
    shape = x.shape
    if result is None or shape is None:
        return _unbroadcast_at_run_time(op, dy, x)
    extra = len(result) - len(shape)
    axes, maybe = list(range(extra)), []
    for axis, (have, want) in enumerate(zip(result[extra:], shape, strict=True)):
        if want == 1 and have != 1:
            axes.append(axis + extra)
        elif (not isinstance(want, int) and want != have) or want is None:
            maybe.append(axis)
    if maybe:
        found = _of_size_one(op, x, maybe, extra)
        found = op.Concat(op.ints(axes), found, axis=0) if axes else found
        dy = op.ReduceSum(dy, found, keepdims=1, noop_with_empty_axes=1)
    elif axes:
        dy = op.ReduceSum(dy, axes, keepdims=1)
    return op.Squeeze(dy, list(range(extra))) if extra else dy


def _of_size_one(op: Builder, x: Var, axes: list[int], offset: int) -> Var:
    """Return those of some axes along which ``x`` turns out to have size 1, plus an offset."""
    sizes = op.Shape(x, start=axes[0], end=axes[-1] + 1)
    if len(axes) <= axes[-1] - axes[0]:
        sizes = op.Gather(sizes, np.array(axes) - axes[0], axis=0)
    return op.Compress(op.ints([axis + offset for axis in axes]), op.Equal(sizes, 1), axis=0)


def _unbroadcast_at_run_time(op: Builder, dy: Var, x: Var) -> Var:
    target = op.Shape(x)
    missing = op.Sub(op.Shape(op.Shape(dy)), op.Shape(target))
    padded = op.Concat(op.Expand(op.ints([1]), missing), target, axis=0)
    axes = op.Reshape(op.NonZero(op.Equal(padded, 1)), [-1])
    return op.Reshape(op.ReduceSum(dy, axes, keepdims=1, noop_with_empty_axes=1), target)
