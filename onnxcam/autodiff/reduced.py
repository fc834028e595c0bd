"""The axes of a reduction, fixed in the file or computed while the graph runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

from onnxcam.autodiff import lowering, shapes
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView


@dataclass(frozen=True)
class Reduction:
    """What a reducing node sums over, and how its result is brought back to the shape of what it reads.

    Attributes:
        op: where to write.
        node: the reducing node.
        axes: non-negative numbers, or a tensor of axes as the node has it: negative ones count from the end, and none
            at all stand for all or for none, as ``noop_with_empty_axes`` says.
    """

    op: Builder
    node: NodeView
    axes: list[int] | Var

    def restored(self, reduced: Var) -> Var:
        """Return a reduced value with its summed axes back as axes of size 1."""
        if self.node.integer("keepdims", 1):
            return reduced
        if isinstance(self.axes, list):
            return self.op.Unsqueeze(reduced, self.axes)
        return self.op.Reshape(reduced, self._kept, allowzero=1)

    def spread(self, reduced: Var) -> Var:
        """Return a reduced value, repeated along the summed axes."""
        x, restored = self.node.raw(0), self.restored(reduced)
        if self.axes == [2, 3] and x.shape and lowering.map_sizes(x.shape):
            return lowering.spread(self.op, restored, x.shape)
        return self.op.Expand(restored, shapes.shape_tensor(self.op, x))

    def reduce(self, x: Var, op_type: str = "ReduceSum") -> Var:
        """Return ``x`` reduced over the same axes, which stay as axes of size 1."""
        noop = {} if isinstance(self.axes, list) else {"noop_with_empty_axes": self._noop}
        return self.op.emit(op_type, [x, self.axes], {"keepdims": 1, **noop})

    def count(self, reduced: Var) -> Var:
        """Return how many numbers are summed to each of the reduced value's, in that value's type."""
        op, x = self.op, self.node.raw(0)
        if not isinstance(self.axes, list):
            return op.cast(op.Size(x), reduced.dtype) / op.cast(op.Size(reduced), reduced.dtype)
        sizes = [shapes.dim(op, x, axis) for axis in self.axes]
        if all(isinstance(size, int) for size in sizes):
            return op.const(prod(size for size in sizes if isinstance(size, int)), reduced.dtype)
        return op.cast(op.ReduceProd(shapes.sizes_tensor(op, sizes), keepdims=0), reduced.dtype)

    @property
    def _noop(self) -> int:
        return self.node.integer("noop_with_empty_axes", 0)

    @cached_property
    def _kept(self) -> Var:
        """Sizes of what is read, 1 for each summed axis."""
        op, axes = self.op, self.axes
        assert isinstance(axes, Var)
        sizes = shapes.shape_tensor(op, self.node.raw(0))
        kept = op.ScatterElements(sizes, axes, op.Expand(op.ints([1]), op.Shape(axes)), axis=0)
        return kept if self._noop else op.Where(op.Equal(op.Size(axes), 0), 1, kept)


def reduction(op: Builder, node: NodeView) -> Reduction | None:
    """Return what a node reduces over; None where it is known to do nothing."""
    shape, fixed = node.shape(), node.constant(1)
    if node.has(1) and fixed is None:
        return Reduction(op, node, node.raw(1))
    axes = (node.integers("axes") or []) if fixed is None else [int(axis) for axis in fixed]
    if not axes and node.integer("noop_with_empty_axes", 0):
        return None
    if shape is None:
        return Reduction(op, node, op.ints(axes))
    return Reduction(op, node, sorted(axis % len(shape) for axis in axes or range(len(shape))))
