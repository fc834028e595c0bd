"""Sliding windows: what Conv, ConvTranspose and the pools have in common, and the adjoint of reading by windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnxcam.autodiff import shapes
from onnxcam.autodiff.builder import Builder, Shape, Var
from onnxcam.autodiff.node import NodeView, UnknownShapeError


@dataclass(frozen=True)
class Window:
    """Geometry of windows over the spatial axes, one entry an axis.

    ``fixed`` is the kernel's size, None where it is only known while the graph runs. ``pads_begin`` and ``pads_end``
    are explicit, ``auto_pad`` resolved; ``ceil`` says that a last window may start inside the input and reach past its
    end.
    """

    fixed: tuple[int, ...] | None
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads_begin: tuple[int, ...]
    pads_end: tuple[int, ...]
    ceil: bool = False

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.strides)

    @property
    def kernel(self) -> tuple[int, ...]:
        """Size of the kernel.

        Raises:
            UnknownShapeError: it is only known while the graph runs.
        """
        if self.fixed is None:
            raise UnknownShapeError("the size of its kernel is not known")
        return self.fixed

    @property
    def extents(self) -> tuple[int, ...]:
        """Size of the field that one window spans, per axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def counts(self, sizes: Sequence[int]) -> list[int]:
        """Return how many windows there are along each axis of an input of these sizes.

        Not read from the inferred shape of the result: onnx counts a window that starts past the input's end, which in
        ceil mode engines drop.
        """
        result = []
        for size, b, f, e, s in zip(sizes, self.pads_begin, self.pads_end, self.extents, self.strides, strict=True):
            count = (size + b + f - e + (s - 1 if self.ceil else 0)) // s + 1
            result.append(count - 1 if self.ceil and (count - 1) * s >= size + b else count)
        return result

    @property
    def pads(self) -> list[int]:
        """Padding in ONNX's order."""
        return [*self.pads_begin, *self.pads_end]

    @property
    def turned(self) -> list[int]:
        """Padding with which the turned kernel undoes stride 1: the kernel's reach less the padding there was."""
        return [e - 1 - p for e, p in zip(self.extents * 2, self.pads, strict=True)]

    def stuffed(self, sizes: Sequence[int]) -> list[int]:
        """Return the same for any stride, where ``stride - 1`` zeros follow each position of dy."""
        steps = zip(sizes, self.counts(sizes), self.strides, self.pads_begin, strict=True)
        return [*self.turned[: self.rank], *(size - count * s + b for size, count, s, b in steps)]


def window(node: NodeView, kernel: Sequence[int] | None) -> Window:
    """Read the geometry of a Conv or pooling node, with the size of its kernel where that is known.

    Raises:
        UnknownShapeError: SAME padding with a stride over an input whose size is not known, or with such a kernel.
    """
    rank = node.rank() - 2 if kernel is None else len(kernel)
    strides = tuple(node.integers("strides") or [1] * rank)
    dilations = tuple(node.integers("dilations") or [1] * rank)
    ceil = bool(node.integer("ceil_mode", 0))
    auto = node.text("auto_pad", "NOTSET")
    plain = Window(None if kernel is None else tuple(kernel), strides, dilations, (0,) * rank, (0,) * rank, ceil)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        begin, end = _same_padding(node.shape(0), plain, upper=auto == "SAME_UPPER")
    elif auto == "VALID":
        begin, end = plain.pads_begin, plain.pads_end
    else:
        pads = node.integers("pads") or [0] * (2 * rank)
        begin, end = tuple(pads[:rank]), tuple(pads[rank:])
    return Window(plain.fixed, strides, dilations, begin, end, ceil)


def _same_padding(shape: Shape | None, plain: Window, *, upper: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    begin, end = [], []
    for axis, (extent, stride) in enumerate(zip(plain.extents, plain.strides, strict=True)):
        size = None if shape is None else shape[axis + 2]
        if stride == 1:
            total = extent - 1
        elif isinstance(size, int):
            total = max((-(-size // stride) - 1) * stride + extent - size, 0)
        else:
            raise UnknownShapeError("its SAME padding depends on a size that is not known")
        small, large = total // 2, total - total // 2
        begin.append(small if upper else large)
        end.append(large if upper else small)
    return tuple(begin), tuple(end)


def spatial_sizes(shape: Shape | None) -> list[int] | None:
    """Return the sizes after batch and channels if all are known."""
    sizes = None if shape is None else shapes.static(shape[2:])
    return None if sizes is None else list(sizes)


def scatter_windows(op: Builder, dy: Var, weight: Var, win: Window, x: Var, group: int) -> Var:
    """Return the adjoint of reading ``x`` by windows: ConvTranspose with the leftover that the stride skipped.

    Args:
        op: where to write.
        dy: cotangent ``[N, M, *out]``.
        weight: ``[M, C/group, *kernel]``.
        win: geometry of the windows.
        x: the value whose cotangent is wanted; its size decides the result's.
        group: as in Conv.
    """
    inside = spatial_sizes(x.shape)
    geometry: dict[str, int | list[int]] = {
        "strides": list(win.strides),
        "dilations": list(win.dilations),
        "group": group,
    }
    if inside is None or win.fixed is None:
        return _scatter_at_run_time(op, dy, weight, win, x, geometry)
    spans = [(o - 1) * s + e for o, s, e in zip(win.counts(inside), win.strides, win.extents, strict=True)]
    # What the windows cover beyond the input is cut off; what they leave out at its end is filled with zeros.
    over = [span - b - size for span, b, size in zip(spans, win.pads_begin, inside, strict=True)]
    return op.ConvTranspose(
        dy,
        weight,
        pads=[*win.pads_begin, *(max(o, 0) for o in over)],
        output_padding=[max(-o, 0) for o in over],
        **geometry,
    )


def _scatter_at_run_time(
    op: Builder, dy: Var, weight: Var, win: Window, x: Var, geometry: dict[str, int | list[int]]
) -> Var:
    """Scatter with room to spare and cut to the size that ``x`` turns out to have."""
    # One step more than the last window's reach always covers the input's end; ONNX wants less than one stride.
    full = op.ConvTranspose(
        dy, weight, pads=[*win.pads_begin, *[0] * win.rank], output_padding=[s - 1 for s in win.strides], **geometry
    )
    return op.Slice(full, [0] * win.rank, op.Shape(x, start=2), list(range(2, 2 + win.rank)))
