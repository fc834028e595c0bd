"""Arithmetic on sizes, done ahead: exporters leave it in the graph, and behind it no shape is known.

``Shape`` of a value whose sizes are known, picked, joined and computed with, becomes a constant as soon as every number
in it is known; an open batch axis stays open, so what depends on it stays in the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

# Numbers that are known, None where one depends on what comes in.
_Numbers: TypeAlias = list[int | None]
_Rule: TypeAlias = Callable[[ir.Node, Sequence[_Numbers | None]], _Numbers | None]

# Larger constants are no sizes.
_LARGEST = 1024
_NOT_CONSTANT = {"RandomNormal", "RandomUniform", "If", "Loop", "Scan"}


def fold_sizes(model: ir.Model) -> bool:
    """Replace computed sizes by constants, in place; return whether there were any."""
    graph = model.graph
    numbers: dict[ir.Value, _Numbers] = {}
    folded = False
    for node in list(graph):
        if node.op_type in ("Expand", "Reshape") and not node.domain:
            _refine(node, numbers)
        constant = _evaluate(node)
        if constant is None:
            partly = _partly_known(node, numbers)
            if partly is None:
                continue
            numbers[node.outputs[0]] = partly
            if None in partly or node.outputs[0].dtype != ir.DataType.INT64:
                continue
            scalar = node.outputs[0].shape is not None and len(node.outputs[0].shape) == 0
            constant = np.array(partly[0] if scalar else partly, np.int64)
        _replace(graph, node, constant)
        folded = True
    return folded


def _replace(graph: ir.Graph, node: ir.Node, array: npt.NDArray[Any]) -> None:
    old = node.outputs[0]
    new = ir.Value(name=old.name, shape=ir.Shape(array.shape), type=ir.TensorType(ir.DataType.from_numpy(array.dtype)))
    new.const_value = ir.tensor(array, name=new.name)
    old.replace_all_uses_with(new)
    graph.remove(node, safe=True)
    graph.register_initializer(new)


def _evaluate(node: ir.Node) -> npt.NDArray[Any] | None:
    """Return what a node gives if all that it reads is constant and small."""
    output = node.outputs[0]
    if node.domain or len(node.outputs) != 1 or node.op_type in _NOT_CONSTANT or not node.inputs:
        return None
    if output.is_graph_output() or any(v is not None and v.const_value is None for v in node.inputs):
        return None
    tensors = {str(v.name): v.const_value for v in node.inputs if v is not None and v.const_value is not None}
    if any(tensor.size > _LARGEST for tensor in tensors.values()) or _is_quantized(node):
        return None
    feeds = {name: tensor.numpy() for name, tensor in tensors.items()}
    try:
        with np.errstate(all="ignore"):
            outputs: Any = ReferenceEvaluator(ir.to_proto(node)).run(None, feeds)
    except Exception:
        # What onnx's evaluator cannot compute is left to the runtime, which is where it was.
        return None
    array = np.asarray(outputs[0])
    expected = output.dtype
    if array.size > _LARGEST or array.dtype == object or (expected is not None and expected.numpy() != array.dtype):
        return None
    return array


def _is_quantized(node: ir.Node) -> bool:
    """Whether onnxruntime looks for the node when it fuses integer kernels: without it, it rounds other numbers."""
    return "quantize" in node.op_type.lower() or "QLinear" in node.op_type


def _partly_known(node: ir.Node, numbers: dict[ir.Value, _Numbers]) -> _Numbers | None:
    """Return the numbers of a list or scalar of sizes, as far as they are known."""
    rule = _RULES.get(node.op_type)
    if rule is None or node.domain or node.outputs[0].is_graph_output():
        return None
    return rule(node, [None if value is None else _numbers(value, numbers) for value in node.inputs])


def _numbers(value: ir.Value, numbers: dict[ir.Value, _Numbers]) -> _Numbers | None:
    if value in numbers:
        return numbers[value]
    tensor = value.const_value
    whole = (ir.DataType.INT64, ir.DataType.BOOL)
    if tensor is None or tensor.size > _LARGEST or len(tensor.shape) > 1 or tensor.dtype not in whole:
        return None
    return [int(number) for number in tensor.numpy().reshape(-1)]


def _shape(node: ir.Node, given: Sequence[_Numbers | None]) -> _Numbers | None:
    source = node.inputs[0]
    if source is None or source.shape is None:
        return None
    sizes: _Numbers = [dim if isinstance(dim, int) else None for dim in source.shape]
    return sizes[node.attributes.get_int("start", 0) : node.attributes.get_int("end", len(sizes))]


def _gather(node: ir.Node, given: Sequence[_Numbers | None]) -> _Numbers | None:
    data, index = given
    if data is None or index is None or None in index:
        return None
    return [data[i] for i in index if i is not None and -len(data) <= i < len(data)] or None


def _slice(node: ir.Node, given: Sequence[_Numbers | None]) -> _Numbers | None:
    bounds = [*given[1:3], *given[4:5]]
    if given[0] is None or any(bound is None or len(bound) != 1 or None in bound for bound in bounds):
        return None
    start, end, *step = (bound[0] for bound in bounds if bound is not None)
    return given[0][slice(start, end, *step)]


def _concat(node: ir.Node, given: Sequence[_Numbers | None]) -> _Numbers | None:
    if any(part is None for part in given):
        return None
    return [number for part in given if part is not None for number in part]


def _same(node: ir.Node, given: Sequence[_Numbers | None]) -> _Numbers | None:
    output = node.outputs[0]
    fits = output.dtype == ir.DataType.INT64 and output.shape is not None and len(output.shape) < 2
    return given[0] if fits else None


def _where(node: ir.Node, given: Sequence[_Numbers | None]) -> _Numbers | None:
    condition, yes, no = given
    if condition is None or yes is None or no is None or not len(condition) == len(yes) == len(no):
        return None
    return [None if c is None else y if c else n for c, y, n in zip(condition, yes, no, strict=True)]


def _refine(node: ir.Node, numbers: dict[ir.Value, _Numbers]) -> None:
    """Write down the sizes of a result as far as its target is known, for what comes behind."""
    source, target = node.inputs[0], node.inputs[1]
    wanted = None if target is None else numbers.get(target)
    if wanted is None or source is None or source.shape is None:
        return
    old: _Numbers = [dim if isinstance(dim, int) else None for dim in source.shape]
    if node.op_type == "Expand":
        padded: _Numbers = [*([1] * (len(wanted) - len(old))), *old]
        sizes = [have if want == 1 else want for have, want in zip(padded, wanted[-len(padded) :], strict=False)]
    else:
        sizes = [None if want in (0, -1) else want for want in wanted]
    output = node.outputs[0]
    known = [None] * len(sizes) if output.shape is None else list(output.shape.dims)
    if len(known) == len(sizes):
        pairs = zip(known, sizes, strict=True)
        output.shape = ir.Shape([have if isinstance(have, int) or size is None else size for have, size in pairs])


def _elementwise(compute: Callable[[int, int], int]) -> _Rule:
    """Compute number by number; what is not known stays so."""

    def rule(node: ir.Node, given: Sequence[_Numbers | None]) -> _Numbers | None:
        a, b = given
        if a is None or b is None or not a or not b or (len(a) != len(b) and 1 not in (len(a), len(b))):
            return None
        length = max(len(a), len(b))
        pairs = zip(a * (length // len(a)), b * (length // len(b)), strict=True)
        return [None if x is None or y is None else compute(x, y) for x, y in pairs]

    return rule


_RULES: dict[str, _Rule] = {
    "Shape": _shape,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Identity": _same,
    "Cast": _same,
    "Squeeze": _same,
    "Unsqueeze": _same,
    "Reshape": _same,
    "Where": _where,
    "Equal": _elementwise(lambda x, y: int(x == y)),
    "Add": _elementwise(lambda x, y: x + y),
    "Sub": _elementwise(lambda x, y: x - y),
    "Mul": _elementwise(lambda x, y: x * y),
}
