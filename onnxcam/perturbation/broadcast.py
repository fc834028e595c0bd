"""Change inputs of a graph: add one, replace one, or repeat one of a single sample for all rows of a run."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff.builder import Builder, Var
from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.analysis.reachability import ancestors


def new_input(op: Builder, name: str, dtype: ir.DataType, shape: list[int | str]) -> Var:
    """Add an input to the graph.

    Raises:
        UnsupportedError: the model has one of that name.
    """
    value = ir.Value(name=op.claim(name), type=ir.TensorType(dtype), shape=ir.Shape(shape))
    op.graph.inputs.append(value)
    return op.var(value)


def replace_input(op: Builder, value: ir.Value, changed: Var) -> None:
    """Replace an input by ``changed`` in all its readers but those that ``changed`` itself is computed by."""
    made = ancestors(changed.value, lambda entry: entry is not value) - {value}
    own = {entry.producer() for entry in made}
    for node, index in list(value.uses()):
        if node not in own:
            node.replace_input_with(index, changed.value)
    for index, output in enumerate(op.graph.outputs):
        if output is value:
            op.graph.outputs[index] = changed.value


def broadcast_rows(op: Builder, value: ir.Value, like: Var) -> None:
    """Repeat an input of one sample for each row of ``like``; sizes and what has no batch axis stay as they are."""
    if not has_rows(value):
        return
    assert value.shape is not None
    rank, shape = len(value.shape), value.shape
    rows = op.Shape(like, start=0, end=1)
    target = op.Concat(rows, op.ints([1] * (rank - 1)), axis=0) if rank > 1 else rows
    repeated = op.Expand(op.var(value), target)
    repeated.value.shape = shape
    replace_input(op, value, repeated)
    value.shape = ir.Shape([None, *shape.dims[1:]])


def has_rows(value: ir.Value) -> bool:
    """Whether the first axis of an input counts samples."""
    shape = value.shape
    if shape is None or not len(shape):
        return False
    # Integers of rank one are sizes and positions.
    return value.dtype in FLOATS or len(shape) > 1
