"""Loops over steps that pass on a state, as ONNX's Scan: what a backward pass through time is written with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from onnxcam.autodiff.builder import Builder, Var

_BEFORE_FIRST = np.iinfo(np.int64).min

# From a builder inside the step, the states and one slice each, to the next states and the results of the step.
Step = Callable[[Builder, list[Var], list[Var]], tuple[list[Var], list[Var]]]


def backwards(op: Builder, x: Var) -> Var:
    """Return the slices along the first axis in reverse order."""
    return op.Slice(x, [-1], [_BEFORE_FIRST], [0], [-1])


def scan(op: Builder, states: Sequence[Var], slices: Sequence[Var], step: Step) -> tuple[list[Var], list[Var]]:
    """Write a loop over slices along the first axis, one step each.

    Args:
        op: where to write.
        states: before the first step.
        slices: tensors of equal length along their first axis.
        step: writes one step; it may read values around it.

    Returns:
        The states after the last step, and the results of all steps, joined along a new first axis.
    """
    name = op.unique("Scan")
    inputs = [_input(f"{name}/in_{i}", var, whole=i < len(states)) for i, var in enumerate([*states, *slices])]
    body = ir.Graph(inputs, [], nodes=[], name=name)
    inside = Builder(body, name)
    given = [inside.var(value) for value in inputs]
    after, results = step(inside, given[: len(states)], given[len(states) :])
    # A body may not output one of its inputs as it is.
    body.outputs.extend(inside.Identity(var).value for var in [*after, *results])
    outputs = [
        ir.Value(name=op.unique("Scan"), type=value.type, shape=var.value.shape)
        for value, var in zip(body.outputs, states, strict=False)
    ]
    outputs += [ir.Value(name=op.unique("Scan"), type=value.type) for value in body.outputs[len(states) :]]
    attributes = [ir.AttrGraph("body", body), ir.AttrInt64("num_scan_inputs", len(slices))]
    op.graph.append(ir.Node("", "Scan", [v.value for v in [*states, *slices]], attributes, outputs=outputs, name=name))
    found = [op.var(value) for value in outputs]
    return found[: len(states)], found[len(states) :]


def _input(name: str, var: Var, *, whole: bool) -> ir.Value:
    shape = var.value.shape
    if shape is not None and not whole:
        shape = ir.Shape(shape.dims[1:])
    return ir.Value(name=name, type=ir.TensorType(var.dtype), shape=shape)
