"""Float64 stand-ins for the operators that onnx's reference evaluator gets wrong, lacks, or rounds to float32.

Measured on onnx 1.23.2. Each class carries its operator's name, as the evaluator wants it, and says what is wrong with
the evaluator's own. The tests compare their results with onnxruntime's in float32 (test_exact.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_grid_sample

Floats: TypeAlias = npt.NDArray[np.floating]
Result: TypeAlias = tuple[npt.NDArray[np.generic], ...]
Given: TypeAlias = "Sequence[int] | None"

_ERF = np.vectorize(math.erf, otypes=[np.float64])


class Geometry:
    """Windows over the spatial axes, worked out from ONNX's attributes by its formulas."""

    def __init__(
        self,
        sizes: Sequence[int],
        kernel: Sequence[int],
        strides: Given,
        dilations: Given,
        pads: Given,
        auto_pad: str | None,
        ceil_mode: int | None = 0,
    ) -> None:
        rank = len(kernel)
        self.sizes, self.kernel = list(sizes), list(kernel)
        self.strides, self.dilations = list(strides or [1] * rank), list(dilations or [1] * rank)
        extents = [(k - 1) * d + 1 for k, d in zip(kernel, self.dilations, strict=True)]
        given = list(pads or [0] * (2 * rank)) if auto_pad in (None, "NOTSET") else [0] * (2 * rank)
        self.begin, self.end = given[:rank], given[rank:]
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            for axis, (n, s, e) in enumerate(zip(sizes, self.strides, extents, strict=True)):
                whole = max((-(-n // s) - 1) * s + e - n, 0)
                small, large = whole // 2, whole - whole // 2
                self.begin[axis], self.end[axis] = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
        self.out = []
        for n, s, e, b, f in zip(sizes, self.strides, extents, self.begin, self.end, strict=True):
            count = (n + b + f - e + (s - 1 if ceil_mode else 0)) // s + 1
            # A last window that starts past the input is dropped.
            self.out.append(count - 1 if ceil_mode and (count - 1) * s >= n + b else count)

    def windows(self) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]], list[bool]]]:
        """Yield each window's position, the positions that it covers, and whether each lies within the padded input."""
        for position in product(*map(range, self.out)):
            start = [p * s - b for p, s, b in zip(position, self.strides, self.begin, strict=True)]
            steps = product(*map(range, self.kernel))
            cells = [tuple(a + i * d for a, i, d in zip(start, k, self.dilations, strict=True)) for k in steps]
            padded = [all(c < n + f for c, n, f in zip(cell, self.sizes, self.end, strict=True)) for cell in cells]
            yield position, cells, padded

    def inside(self, cell: tuple[int, ...]) -> bool:
        """Whether a position lies in the input itself."""
        return all(0 <= c < n for c, n in zip(cell, self.sizes, strict=True))


def _key(position: tuple[int, ...]) -> Any:
    """Return the index of one position in every channel of every sample."""
    return (..., *position)


def _at(x: Floats, position: tuple[int, ...]) -> Floats:
    """Return the numbers at one position."""
    numbers: Floats = x[_key(position)]
    return numbers


def _pool(x: Floats, geometry: Geometry, reduce: Callable[[Floats, int], Floats]) -> Floats:
    """Apply ``reduce(values inside, count of padded positions)`` to every window."""
    y = np.zeros((*x.shape[:2], *geometry.out), x.dtype)
    for position, cells, padded in geometry.windows():
        values = np.stack([_at(x, cell) for cell in cells if geometry.inside(cell)], axis=-1)
        y[_key(position)] = reduce(values, sum(padded))
    return y


class AveragePool(OpRun):
    """The evaluator's own pads a negative amount for SAME_LOWER."""

    def _run(
        self,
        x: Floats,
        kernel_shape: Sequence[int],
        strides: Given = None,
        dilations: Given = None,
        pads: Given = None,
        auto_pad: str | None = None,
        ceil_mode: int = 0,
        count_include_pad: int = 0,
    ) -> Result:
        geometry = Geometry(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
        return (_pool(x, geometry, lambda v, padded: v.sum(axis=-1) / (padded if count_include_pad else v.shape[-1])),)


class LpPool(OpRun):
    """The evaluator's own counts ceil_mode and padding in another way than onnxruntime."""

    def _run(
        self,
        x: Floats,
        kernel_shape: Sequence[int],
        strides: Given = None,
        dilations: Given = None,
        pads: Given = None,
        auto_pad: str | None = None,
        ceil_mode: int = 0,
        p: int = 2,
    ) -> Result:
        geometry = Geometry(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
        return (_pool(x, geometry, lambda v, _: (abs(v) ** p).sum(axis=-1) ** (1 / p)),)


class MaxPool(OpRun):
    """The evaluator's own gives wrong Indices for SAME padding, even kernels and storage_order."""

    def _run(
        self,
        x: Floats,
        kernel_shape: Sequence[int],
        strides: Given = None,
        dilations: Given = None,
        pads: Given = None,
        auto_pad: str | None = None,
        ceil_mode: int = 0,
        storage_order: int = 0,
    ) -> Result:
        geometry = Geometry(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
        y = _pool(x, geometry, lambda v, _: v.max(axis=-1))
        where = np.zeros(y.shape, np.int64)
        order: Literal["C", "F"] = "F" if storage_order else "C"
        plane = np.arange(math.prod(x.shape[2:])).reshape(x.shape[2:], order=order)
        offset = np.arange(x.shape[0] * x.shape[1]).reshape(x.shape[:2]) * plane.size
        for position, cells, _ in geometry.windows():
            cells = [cell for cell in cells if geometry.inside(cell)]
            first = np.stack([_at(x, cell) for cell in cells], axis=-1).argmax(axis=-1)
            where[_key(position)] = offset + np.array([plane[cell] for cell in cells])[first]
        return (y, where) if self.n_outputs == 2 else (y,)

    @property
    def n_outputs(self) -> int:
        """How many outputs the node asks for."""
        return len(self.onnx_node.output)


class GlobalMaxPool(OpRun):
    """The evaluator's own is right for two spatial axes only."""

    def _run(self, x: Floats) -> Result:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class GlobalLpPool(OpRun):
    """The evaluator has none."""

    def _run(self, x: Floats, p: int = 2) -> Result:
        return ((abs(x) ** p).sum(axis=tuple(range(2, x.ndim)), keepdims=True) ** (1 / p),)


class Conv(OpRun):
    """The evaluator's own fails for groups in most shapes."""

    def _run(
        self,
        x: Floats,
        w: Floats,
        b: Floats | None = None,
        auto_pad: str | None = None,
        dilations: Given = None,
        group: int = 1,
        kernel_shape: Given = None,
        pads: Given = None,
        strides: Given = None,
    ) -> Result:
        del kernel_shape
        g = Geometry(x.shape[2:], w.shape[2:], strides, dilations, pads, auto_pad)
        padded = np.pad(x, [(0, 0), (0, 0), *zip(g.begin, g.end, strict=True)])
        function = (torch.conv1d, torch.conv2d, torch.conv3d)[len(g.kernel) - 1]
        bias = None if b is None else torch.tensor(b)
        y = function(
            torch.tensor(padded.copy()),
            torch.tensor(w.copy()),
            bias,
            g.strides,
            0,
            g.dilations,
            group,
        )
        return (y.numpy(),)


class ConvTranspose(OpRun):
    """The evaluator's own knows no groups beside other options, and no third axis."""

    def _run(
        self,
        x: Floats,
        w: Floats,
        b: Floats | None = None,
        auto_pad: str | None = None,
        dilations: Given = None,
        group: int = 1,
        kernel_shape: Given = None,
        output_padding: Given = None,
        output_shape: Given = None,
        pads: Given = None,
        strides: Given = None,
    ) -> Result:
        del kernel_shape
        rank = x.ndim - 2
        stride, dilation = list(strides or [1] * rank), list(dilations or [1] * rank)
        function = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)[rank - 1]
        given = (torch.tensor(part.copy()) for part in (x, w))
        bare = function(*given, None, stride, 0, 0, group, dilation).numpy()
        # Output padding makes room at the end, which holds nothing but the bias.
        full = np.pad(bare, [(0, 0), (0, 0), *((0, extra) for extra in output_padding or [0] * rank)])
        begin, end = list((pads or [0] * (2 * rank))[:rank]), list((pads or [0] * (2 * rank))[rank:])
        if output_shape is not None or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            wanted = output_shape or [n * s for n, s in zip(x.shape[2:], stride, strict=True)]
            for axis, (have, want) in enumerate(zip(full.shape[2:], wanted, strict=True)):
                cut = max(have - want, 0)
                small, large = cut // 2, cut - cut // 2
                begin[axis], end[axis] = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
        for axis, (first, last) in enumerate(zip(begin, end, strict=True), start=2):
            full = np.take(full, range(first, full.shape[axis] - last), axis=axis)
        if output_shape is not None:
            # A result larger than the windows reach is filled up at its end.
            missing = [(0, want - have) for have, want in zip(full.shape[2:], output_shape, strict=True)]
            full = np.pad(full, [(0, 0), (0, 0), *missing])
        return (full if b is None else full + b.reshape(-1, *[1] * rank),)


class Pad(OpRun):
    """The evaluator's own does not crop: numpy's pad takes no negative amounts."""

    def _run(
        self,
        x: npt.NDArray[np.generic],
        pads: npt.NDArray[np.int64],
        value: npt.NDArray[np.generic] | None = None,
        axes: npt.NDArray[np.int64] | None = None,
        mode: str = "constant",
    ) -> Result:
        for position, axis in enumerate(range(x.ndim) if axes is None else axes):
            begin, end = int(pads[position]), int(pads[position + len(pads) // 2])
            x = np.take(x, range(max(-begin, 0), x.shape[axis] - max(-end, 0)), axis=axis)
            amount = [(0, 0)] * x.ndim
            amount[axis] = (max(begin, 0), max(end, 0))
            if mode == "constant":
                x = np.pad(x, amount, constant_values=x.dtype.type(0) if value is None else value.item())
            else:
                x = np.pad(x, amount, mode=mode)  # type: ignore[call-overload]  # one of its modes
        return (x,)


class GatherElements(OpRun):
    """The evaluator's own takes an axis of at most 64 positions."""

    def _run(self, x: npt.NDArray[np.generic], indices: npt.NDArray[np.int64], axis: int = 0) -> Result:
        index = np.where(indices < 0, indices + x.shape[axis], indices)
        grid: list[npt.NDArray[np.int64]] = list(np.indices(index.shape, sparse=True))
        grid[axis] = index
        return (x[tuple(grid)],)


class Erf(OpRun):
    """The evaluator's own rounds to float32."""

    def _run(self, x: Floats) -> Result:
        return (_ERF(x).astype(x.dtype).reshape(x.shape),)


class Gelu(OpRun):
    """The evaluator's own rounds to float32."""

    def _run(self, x: Floats, approximate: str = "none") -> Result:
        if approximate == "tanh":
            return (np.asarray(x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),)
        return (np.asarray(x / 2 * (1 + _ERF(x / math.sqrt(2)).reshape(x.shape))),)


class Softsign(OpRun):
    """The evaluator's own fails for scalars."""

    def _run(self, x: Floats) -> Result:
        return (np.asarray(x / (1 + abs(x))),)


class Mean(OpRun):
    """The evaluator's own does not broadcast."""

    def _run(self, *inputs: Floats) -> Result:
        return (np.asarray(sum(inputs[1:], inputs[0]) / inputs[0].dtype.type(len(inputs))),)


class LRN(OpRun):
    """The evaluator's own loops over the batch where it should loop over the channels."""

    def _run(self, x: Floats, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Result:
        channels = x.shape[1]
        total = np.zeros_like(x)
        for c in range(channels):
            low, high = max(0, c - (size - 1) // 2), min(channels, c + size // 2 + 1)
            total[:, c] = (x[:, low:high] ** 2).sum(axis=1)
        return (x / (bias + alpha / size * total) ** beta,)


class LpNormalization(OpRun):
    """The evaluator's own adds up signed numbers for p = 1."""

    def _run(self, x: Floats, axis: int = -1, p: int = 2) -> Result:
        norm = (abs(x) ** p).sum(axis=axis, keepdims=True) ** (1 / p)
        return (np.where(norm == 0, 0, x / np.where(norm == 0, 1, norm)),)


class GroupNormalization(OpRun):
    """The evaluator's own computes in float32 and then refuses to multiply by float64."""

    def _run(
        self, x: Floats, scale: Floats, bias: Floats, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
    ) -> Result:
        del stash_type
        channels, tail = x.shape[1], [1] * (x.ndim - 2)
        # Opset 18 has one scale a group, later ones one a channel.
        scale, bias = (np.repeat(v, channels // len(v)).reshape(1, -1, *tail) for v in (scale, bias))
        groups = x.reshape(x.shape[0], num_groups, -1)
        centred = groups - groups.mean(axis=2, keepdims=True)
        z = centred / np.sqrt((centred**2).mean(axis=2, keepdims=True) + epsilon)
        return (z.reshape(x.shape) * scale + bias,)


class GridSample(op_grid_sample.GridSample):
    """The evaluator's own rounds the points to float32, and holds a cubic's points, not its neighbours, inside."""

    def _gs_denormalize_coordinates(self, n: Floats, dims: Sequence[int], align_corners: bool) -> Floats:
        found = [self._gs_denormalize(v, dim, align_corners) for v, dim in zip(n, dims, strict=True)]
        return np.array(found, np.float64)

    def _clamp(self, val: Any, lo: float, hi: float) -> Any:
        cubic = self.onnx_node.attribute and any(a.s == b"cubic" for a in self.onnx_node.attribute)
        return val if cubic and isinstance(val, float) else min(max(val, lo), hi)


EXACT: list[type[OpRun]] = [
    AveragePool,
    Conv,
    ConvTranspose,
    Erf,
    GatherElements,
    Gelu,
    GridSample,
    GlobalLpPool,
    GlobalMaxPool,
    GroupNormalization,
    LRN,
    LpNormalization,
    LpPool,
    MaxPool,
    Mean,
    Pad,
    Softsign,
]
