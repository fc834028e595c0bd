"""What a model is fed: names, types, and which axis is which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxcam.errors import UnsupportedError
from onnxcam.graph.analysis.axes import AXES_BY_RANK, TAKE_CHANNELS_FIRST, spatial_axes
from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.analysis.values import data_inputs
from onnxcam.graph.operators import Trait, operators_with

# An image has few channels; a size above this along the second axis is a height.
_MOST_CHANNELS = 4
_TO_FLOAT = operators_with(Trait.CONVERTS)


@dataclass(frozen=True)
class ModelInput:
    """One input of a model.

    Attributes:
        name: in the graph.
        dtype: NumPy type.
        shape: numbers, or None where any size goes.
        axes: one letter an axis (N batch, C channels, D H W space), or empty if it is no image.
        value: the first floating-point value that it becomes: itself, or what an integer input is converted to.
        batched: whether its first axis counts samples; else all samples of a run share it.
        below: of integers that are looked up in a table, for instance words, the table's length.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    axes: str
    value: str
    batched: bool = True
    below: int | None = None

    @property
    def extent(self) -> tuple[int | None, ...]:
        """Sizes of the spatial axes."""
        return tuple(self.shape[axis] for axis in spatial_axes(self.axes))

    @property
    def channels(self) -> int | None:
        """Number of channels."""
        return self.shape[self.axes.index("C")]


def model_inputs(graph: ir.Graph) -> list[ModelInput]:
    """Return what a user feeds, in order."""
    values = data_inputs(graph)
    found = [_describe(value) for value in values]
    several = _batch_sizes(found)
    return [
        replace(entry, batched=value.shape is None or entry.shape[:1] in several)
        for entry, value in zip(found, values, strict=True)
    ]


def _batch_sizes(inputs: Sequence[ModelInput]) -> set[tuple[int | None, ...]]:
    """Return the first sizes of those inputs that have a row for each sample: an open one, or the image's."""
    with_axes = [entry for entry in inputs if entry.shape]
    lead = next((entry for entry in with_axes if entry.axes), with_axes[0] if with_axes else None)
    return {(None,)} if lead is None else {(None,), lead.shape[:1]}


def image_input(graph: ir.Graph) -> ModelInput:
    """Return the input that holds the image: the first one that has spatial axes.

    Raises:
        UnsupportedError: no input has.
    """
    found = next((entry for entry in model_inputs(graph) if entry.axes), None)
    if found is None:
        raise UnsupportedError(
            "no input of the model looks like an image or a signal: [N, C, *space] or [N, *space, C]"
        )
    return found


def _describe(value: ir.Value) -> ModelInput:
    dims = () if value.shape is None else tuple(d if isinstance(d, int) else None for d in value.shape)
    dtype = np.dtype(np.float32) if value.dtype is None else value.dtype.numpy()
    return ModelInput(
        str(value.name), dtype, dims, _axes(value, dims), str(_first_float(value).name), below=_below(value)
    )


def _below(value: ir.Value) -> int | None:
    """Return the length of the shortest table that a value, as it is or as other integers, picks rows of."""
    found: list[int] = []
    waiting = [value]
    while waiting:
        picked = waiting.pop()
        for node in picked.consumers():
            if node.op_type == "Cast":
                waiting.append(node.outputs[0])
            table = node.inputs[0] if node.op_type == "Gather" and node.inputs[1] is picked else None
            if table is not None and table.shape is not None:
                size = table.shape[node.attributes.get_int("axis", 0)]
                found += [size] if isinstance(size, int) else []
    return min(found, default=None)


def _first_float(value: ir.Value) -> ir.Value:
    """Return the first real numbers that a value becomes by conversion alone; itself where it does not."""
    found = value
    while found.dtype not in FLOATS:
        consumers = found.consumers()
        if len(consumers) != 1 or consumers[0].op_type not in _TO_FLOAT:
            return value
        found = consumers[0].outputs[0]
    return found


def _axes(value: ir.Value, shape: tuple[int | None, ...]) -> str:
    """Return the axes that the first convolution expects, or what the sizes suggest where none is near."""
    natural = AXES_BY_RANK.get(len(shape))
    if natural is None:
        return ""
    order = list(range(len(shape)))
    while consumers := value.consumers():
        node = consumers[0]
        if node.op_type in TAKE_CHANNELS_FIRST:
            letters = dict(zip(order, natural, strict=True))
            return "".join(letters[axis] for axis in range(len(shape)))
        if node.op_type == "Transpose":
            perm = node.attributes.get_ints("perm", None) or list(range(len(order)))[::-1]
            order = [order[axis] for axis in perm]
        value = node.outputs[0]
        if value.shape is None or len(value.shape) != len(shape):
            break
    last = shape[-1]
    few_last = last is not None and last <= _MOST_CHANNELS
    few_second = shape[1] is not None and shape[1] <= _MOST_CHANNELS
    return natural if few_second or not few_last else f"N{natural[2:]}C"
