"""Attention as onnxruntime fuses it: projections, heads, masks and softmax in one operator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnxcam.graph.passes.expansions.node_writer import NodeWriter, Results, UnknownRankError, rank
from onnxcam.graph.passes.expansions.registry import expansion

# Small enough to leave nothing after the exponential, large enough for half precision.
_LOWEST = np.float32(-6.0e4)
_ZERO, _ONE = np.int64(0), np.int64(1)
_TO_HEADS = [0, 2, 1, 3]


@dataclass(frozen=True)
class _Heads:
    """Queries ``[B, H, S, d]``, keys ``[B, H, d, T]`` and values ``[B, H, T, e]``."""

    query: ir.Value
    key: ir.Value
    value: ir.Value


@expansion("Attention")
def attention(op: NodeWriter, node: ir.Node) -> Results:
    """softmax(q k^T scale + mask) v with q, k, v = x W + b, head by head."""
    get = node.attributes
    if op.input(4) is not None or op.input(6) is not None:
        raise op.refuse("a past state")
    if get.get_int("do_rotary", 0):
        raise op.refuse("a rotary embedding inside it")
    weights, bias = op.required(1), op.input(2)
    joined = op.MatMul(op.required(0), weights)
    joined = joined if bias is None else op.Add(joined, bias)
    sizes = list(get.get_ints("qkv_hidden_sizes", []))
    if not sizes:
        sizes = [_size(weights, -1) // 3] * 3
    parts = op.emit("Split", [joined, sizes], {"axis": -1}, outputs=3)
    count = get.get_int("num_heads", 1)
    query, key, value = (op.Reshape(part, [0, 0, count, -1]) for part in parts)
    heads = _Heads(
        op.Transpose(query, perm=_TO_HEADS), op.Transpose(key, perm=[0, 2, 3, 1]), op.Transpose(value, perm=_TO_HEADS)
    )
    return (_attend(op, node, heads, sizes[0] // count, op.input(3), op.input(5)),)


@expansion("MultiHeadAttention")
def multi_head_attention(op: NodeWriter, node: ir.Node) -> Results:
    """softmax(q k^T scale + mask) v of given q, k, v: apart, k and v in one, or all in one; the bias is added first."""
    if any(op.input(index) is not None for index in (6, 7, 8, 9)):
        raise op.refuse("a past state")
    count = node.attributes.get_int("num_heads", 1)
    query, key, value = op.required(0), op.input(1), op.input(2)
    if rank(query) == 5:
        size = _size(query, 4)
        parts = [_picked(op, query, index) for index in range(3)]
    elif key is not None and rank(key) == 5:
        size = _size(key, 4)
        parts = [query, _picked(op, key, 0), _picked(op, key, 1)]
    elif key is not None and value is not None:
        size = _size(query, 2) // count
        parts = [query, key, value]
    else:
        raise op.refuse("a query without key and value")
    # Packed ones have their heads apart, and given ones of rank 4 have them in their place.
    axes = [rank(x) if x in (query, key, value) else 5 for x in parts]
    parts = _with_bias(op, parts, op.input(3), axes, [size * count, size * count, -1], count)
    parts = [op.Reshape(part, [0, 0, count, -1]) if axis == 3 else part for part, axis in zip(parts, axes, strict=True)]
    query, key, value = (
        part if axis == 4 else op.Transpose(part, perm=_TO_HEADS) for part, axis in zip(parts, axes, strict=True)
    )
    heads = _Heads(query, op.Transpose(key, perm=[0, 1, 3, 2]), value)
    return (_attend(op, node, heads, size, op.input(4), op.input(5)),)


def _size(value: ir.Value, axis: int) -> int:
    """Return a size that scales and splits depend on.

    Raises:
        UnknownRankError: it is not known yet.
    """
    size = None if value.shape is None else value.shape[axis]
    if not isinstance(size, int):
        raise UnknownRankError(str(value.name))
    return size


def _picked(op: NodeWriter, packed: ir.Value, index: int) -> ir.Value:
    """Return one of the values packed along axis 3 of ``[B, S, H, n, d]``."""
    return op.Squeeze(op.Slice(packed, [index], [index + 1], [3]), [3])


def _with_bias(
    op: NodeWriter, parts: Sequence[ir.Value], bias: ir.Value | None, axes: Sequence[int], sizes: list[int], count: int
) -> list[ir.Value]:
    """Return queries, keys and values with their parts of the bias; ``axes`` as in ``multi_head_attention``.

    It is added before heads are split: there it is the bias of a layer.
    """
    if bias is None:
        return list(parts)
    sizes = [*sizes[:2], _size(bias, 0) - sum(sizes[:2])]
    starts = [0, sizes[0], sizes[0] + sizes[1]]
    results = []
    for part, start, size, axis in zip(parts, starts, sizes, axes, strict=True):
        own = op.Slice(bias, [start], [start + size], [0])
        if axis != 3:
            own = op.Reshape(own, [1, count, 1, -1] if axis == 4 else [count, -1])
        results.append(op.Add(part, own))
    return results


def _attend(
    op: NodeWriter, node: ir.Node, heads: _Heads, size: int, mask: ir.Value | None, bias: ir.Value | None
) -> ir.Value:
    """Return softmax(q k^T scale + mask + bias) v, its heads joined, ``[B, S, H e]``."""
    scale = node.attributes.get_float("scale", 0.0) or 1 / math.sqrt(size)
    scores = op.Mul(op.MatMul(heads.query, heads.key), scale)
    if bias is not None:
        scores = op.Add(scores, bias)
    if mask is not None:
        scores = op.Add(scores, _mask(op, node, mask, scores, heads.key))
    if node.attributes.get_int("unidirectional", 0):
        rows, columns = _positions(op, heads.query, 2), _positions(op, heads.key, 3)
        past = op.LessOrEqual(columns, op.Unsqueeze(rows, [1]))
        scores = op.Where(past, scores, op.CastLike(op.constant(_LOWEST), scores))
    mixed = op.MatMul(op.Softmax(scores, axis=-1), heads.value)
    return op.Reshape(op.Transpose(mixed, perm=_TO_HEADS), [0, 0, -1])


def _mask(op: NodeWriter, node: ir.Node, mask: ir.Value, scores: ir.Value, key: ir.Value) -> ir.Value:
    """Return what is added to the scores: 0 for keys that count, a large negative number for the others."""
    outside = node.attributes.get_float("mask_filter_value", -10000.0)
    if rank(mask) == 1:
        # As many numbers as samples: how many keys count. Other one-dimensional forms have two and more a sample.
        if not _one_a_sample(mask, scores):
            raise op.refuse("a mask of start and end positions")
        kept = op.Less(_positions(op, key, 3), op.Cast(op.Unsqueeze(mask, [1]), to=int(ir.DataType.INT64)))
        kept = op.Unsqueeze(kept, [1, 2])
    elif rank(mask) in (2, 3):
        kept = op.Unsqueeze(op.Cast(mask, to=int(ir.DataType.BOOL)), [1, 2] if rank(mask) == 2 else [1])
    else:
        raise op.refuse(f"a mask of rank {rank(mask)}")
    dropped = op.CastLike(op.Not(kept), scores)
    return op.Mul(dropped, outside)


def _one_a_sample(mask: ir.Value, scores: ir.Value) -> bool:
    node = scores.producer()
    while node is not None and node.inputs and node.inputs[0] is not None and node.inputs[0].shape is None:
        node = node.inputs[0].producer()
    batch = None if node is None or node.inputs[0] is None else (node.inputs[0].shape or (None,))[0]
    count = None if mask.shape is None else mask.shape[0]
    return count is not None and count == batch


def _positions(op: NodeWriter, x: ir.Value, axis: int) -> ir.Value:
    """Return 0, 1, ... up to the size of an axis."""
    size = op.Squeeze(op.Shape(x, start=axis, end=axis + 1), [0])
    return op.Range(op.constant(_ZERO), size, op.constant(_ONE))
