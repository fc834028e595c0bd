"""Arithmetic on sizes, done ahead: exporters leave it in the graph, and behind it no shape is known.

``Shape`` of a value whose sizes are known, picked, joined and computed with, becomes a constant as soon as every number
in it is known; an open batch axis stays open, so what depends on it stays in the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

# Numbers that are known, None where one depends on what comes in.
_Numbers: TypeAlias = list[int | None]
_Rule: TypeAlias = Callable[[ir.Node, Sequence[_Numbers | None]], _Numbers | None]

_Array: TypeAlias = npt.NDArray[Any]

# What sizes, and answers to questions about them, are written in.
_WHOLE = (ir.DataType.INT64, ir.DataType.BOOL)
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
        constants = _evaluate(node) or _known(node, numbers)
        folded |= _replace(graph, node, constants)
    return folded


def _replace(graph: ir.Graph, node: ir.Node, arrays: Sequence[_Array | None]) -> bool:
    """Put constants in the place of those results that have one; return whether any was read."""
    done = False
    for old, array in zip(node.outputs, arrays, strict=False):
        if array is None or not old.uses():
            continue
        dtype = ir.DataType.from_numpy(array.dtype)
        new = ir.Value(name=old.name, shape=ir.Shape(array.shape), type=ir.TensorType(dtype))
        new.const_value = ir.tensor(array, name=new.name)
        old.replace_all_uses_with(new)
        # The node stays where others of its results are open.
        old.name = f"{old.name}/folded"
        graph.register_initializer(new)
        done = True
    if done and not any(value.uses() or value.is_graph_output() for value in node.outputs):
        graph.remove(node, safe=True)
    return done


def _known(node: ir.Node, numbers: dict[ir.Value, _Numbers]) -> list[_Array | None]:
    """Note down the sizes that a node gives, as far as they are known; return those results that are so as a whole."""
    found: list[_Array | None] = []
    for output, partly in zip(node.outputs, _partly_known(node, numbers), strict=False):
        found.append(None)
        if partly is None:
            continue
        numbers[output] = partly
        if None not in partly and output.dtype in _WHOLE:
            scalar = output.shape is not None and len(output.shape) == 0
            found[-1] = np.array(partly[0] if scalar else partly, output.dtype.numpy())
    return found


def _evaluate(node: ir.Node) -> list[_Array | None] | None:
    """Return what a node gives if all that it reads is constant and small."""
    if node.domain or node.op_type in _NOT_CONSTANT or not node.inputs:
        return None
    if len(node.outputs) != 1 and node.op_type != "Split":
        return None
    if any(v.is_graph_output() for v in node.outputs) or any(
        v is not None and v.const_value is None for v in node.inputs
    ):
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
    arrays = [np.asarray(output) for output in outputs]
    fit = [_fits(array, value) for array, value in zip(arrays, node.outputs, strict=True)]
    return list(arrays) if all(fit) else None


def _fits(array: _Array, value: ir.Value) -> bool:
    """Whether a constant may stand for a value."""
    expected = value.dtype
    return array.size <= _LARGEST and array.dtype != object and (expected is None or expected.numpy() == array.dtype)


def _is_quantized(node: ir.Node) -> bool:
    """Whether onnxruntime looks for the node when it fuses integer kernels: without it, it rounds other numbers."""
    return "quantize" in node.op_type.lower() or "QLinear" in node.op_type


def _partly_known(node: ir.Node, numbers: dict[ir.Value, _Numbers]) -> Sequence[_Numbers | None]:
    """Return the numbers of each list or scalar of sizes that a node gives, as far as they are known."""
    if node.domain or any(value.is_graph_output() for value in node.outputs):
        return []
    rule = _RULES.get(node.op_type)
    if rule is None and node.op_type != "Split":
        return []
    given = [None if value is None else _numbers(value, numbers) for value in node.inputs]
    return _split(node, given) if rule is None else [rule(node, given)]


def _numbers(value: ir.Value, numbers: dict[ir.Value, _Numbers]) -> _Numbers | None:
    if value in numbers:
        return numbers[value]
    tensor = value.const_value
    if tensor is None or tensor.size > _LARGEST or len(tensor.shape) > 1 or tensor.dtype not in _WHOLE:
        return None
    return [int(number) for number in tensor.numpy().reshape(-1)]


def _shape(node: ir.Node, given: Sequence[_Numbers | None]) -> _Numbers | None:
    source = node.inputs[0]
    if source is None or source.shape is None:
        return None
    sizes: _Numbers = [dim if isinstance(dim, int) else None for dim in source.shape]
    return sizes[node.attributes.get_int("start", 0) : node.attributes.get_int("end", len(sizes))]


def _size(node: ir.Node, given: Sequence[_Numbers | None]) -> _Numbers | None:
    source = node.inputs[0]
    if source is None or source.shape is None:
        return None
    sizes = [dim for dim in source.shape if isinstance(dim, int)]
    return [prod(sizes) if len(sizes) == len(source.shape) else None]


def _split(node: ir.Node, given: Sequence[_Numbers | None]) -> Sequence[_Numbers | None]:
    data, count = given[0], len(node.outputs)
    if data is None:
        return []
    # Even parts, of which the last one may be smaller.
    even = -(-len(data) // count)
    lengths = given[1] if len(given) > 1 else [even] * (count - 1) + [len(data) - even * (count - 1)]
    if lengths is None or len(lengths) != count:
        return []
    ends = list(accumulate([0, *(length or 0 for length in lengths)]))
    return [] if None in lengths else [data[start:end] for start, end in pairwise(ends)]


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
    "Size": _size,
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
    "Greater": _elementwise(lambda x, y: int(x > y)),
    "GreaterOrEqual": _elementwise(lambda x, y: int(x >= y)),
    "Less": _elementwise(lambda x, y: int(x < y)),
    "LessOrEqual": _elementwise(lambda x, y: int(x <= y)),
    "Add": _elementwise(lambda x, y: x + y),
    "Sub": _elementwise(lambda x, y: x - y),
    "Mul": _elementwise(lambda x, y: x * y),
}
