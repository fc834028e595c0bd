"""Lists of sizes, of which some may be unknown: what operators on sizes give for them.

``Shape`` of a value of ``[N, 3, 224, 224]`` with an open batch axis is ``[None, 3, 224, 224]``; indexed, joined and
computed with, its known numbers stay known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import TypeAlias

import onnx_ir as ir

# The numbers of a list or a scalar, None where one depends on what the model is fed.
Sizes: TypeAlias = list[int | None]
_Rule: TypeAlias = Callable[[ir.Node, Sequence[Sizes | None]], Sizes | None]

# The types of sizes, and of comparisons of sizes.
SIZE_TYPES = (ir.DataType.INT64, ir.DataType.BOOL)
# Larger constants are no sizes.
LARGEST = 1024


def output_sizes(node: ir.Node, known: dict[ir.Value, Sizes]) -> Sequence[Sizes | None]:
    """Return the sizes that each output of a node holds, as far as they are known.

    Args:
        node: any operator; nothing is known of the outputs of one that does not compute with sizes.
        known: sizes that earlier nodes have given.
    """
    if node.domain or any(value.is_graph_output() for value in node.outputs):
        return []
    rule = _RULES.get(node.op_type)
    if rule is None and node.op_type != "Split":
        return []
    given = [None if value is None else _sizes_of(value, known) for value in node.inputs]
    return _split(node, given) if rule is None else [rule(node, given)]


def _sizes_of(value: ir.Value, known: dict[ir.Value, Sizes]) -> Sizes | None:
    """Return the sizes that a value holds: found before, or constant."""
    if value in known:
        return known[value]
    tensor = value.const_value
    if tensor is None or tensor.size > LARGEST or len(tensor.shape) > 1 or tensor.dtype not in SIZE_TYPES:
        return None
    return [int(number) for number in tensor.numpy().reshape(-1)]


def _shape(node: ir.Node, given: Sequence[Sizes | None]) -> Sizes | None:
    source = node.inputs[0]
    if source is None or source.shape is None:
        return None
    sizes: Sizes = [dim if isinstance(dim, int) else None for dim in source.shape]
    return sizes[node.attributes.get_int("start", 0) : node.attributes.get_int("end", len(sizes))]


def _size(node: ir.Node, given: Sequence[Sizes | None]) -> Sizes | None:
    source = node.inputs[0]
    if source is None or source.shape is None:
        return None
    sizes = [dim for dim in source.shape if isinstance(dim, int)]
    return [prod(sizes) if len(sizes) == len(source.shape) else None]


def _split(node: ir.Node, given: Sequence[Sizes | None]) -> Sequence[Sizes | None]:
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


def _gather(node: ir.Node, given: Sequence[Sizes | None]) -> Sizes | None:
    data, index = given
    if data is None or index is None or None in index:
        return None
    return [data[i] for i in index if i is not None and -len(data) <= i < len(data)] or None


def _slice(node: ir.Node, given: Sequence[Sizes | None]) -> Sizes | None:
    bounds = [*given[1:3], *given[4:5]]
    if given[0] is None or any(bound is None or len(bound) != 1 or None in bound for bound in bounds):
        return None
    start, end, *step = (bound[0] for bound in bounds if bound is not None)
    return given[0][slice(start, end, *step)]


def _concat(node: ir.Node, given: Sequence[Sizes | None]) -> Sizes | None:
    if any(part is None for part in given):
        return None
    return [number for part in given if part is not None for number in part]


def _same(node: ir.Node, given: Sequence[Sizes | None]) -> Sizes | None:
    output = node.outputs[0]
    fits = output.dtype == ir.DataType.INT64 and output.shape is not None and len(output.shape) < 2
    return given[0] if fits else None


def _where(node: ir.Node, given: Sequence[Sizes | None]) -> Sizes | None:
    condition, yes, no = given
    if condition is None or yes is None or no is None or not len(condition) == len(yes) == len(no):
        return None
    return [None if c is None else y if c else n for c, y, n in zip(condition, yes, no, strict=True)]


def _elementwise(compute: Callable[[int, int], int]) -> _Rule:
    """Compute element-wise; the result of an unknown number is unknown."""

    def rule(node: ir.Node, given: Sequence[Sizes | None]) -> Sizes | None:
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
