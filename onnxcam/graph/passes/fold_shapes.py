"""Replace sizes that the graph computes by constants.

Exporters leave arithmetic on sizes in the graph, and no shape that depends on it is known.

``Shape`` of a value whose sizes are known, indexed, joined and computed with, becomes a constant as soon as every
number in it is known; an open batch axis stays open, so what depends on it stays in the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator
from onnx_ir.passes.common import RemoveUnusedNodesPass

from onnxcam.graph.operators import Trait, operators_with
from onnxcam.graph.passes.infer_shapes import InferShapes
from onnxcam.graph.passes.sizes import LARGEST, SIZE_TYPES, Sizes, output_sizes

_Array: TypeAlias = npt.NDArray[Any]

# Sizes that depend on sizes that depend on sizes: deeper chains than this have not been seen.
_ROUNDS = 8
# Random, or no arithmetic on sizes: onnx's evaluator interpolates and pools in other ways than engines.
_NOT_CONSTANT = operators_with(Trait.RANDOM | Trait.BODIES | Trait.POOLS | Trait.CHANNELS_FIRST | Trait.NORMALISES)
_NOT_CONSTANT |= {"GridSample", "Resize", "Upsample"}


class FoldShapes(ir.passes.InPlacePass):
    """Replace computed sizes by constants, then infer shapes, until no more sizes become known."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold in rounds, since each may make more shapes known."""
        modified = False
        for _ in range(_ROUNDS):
            if not _fold(model.graph):
                break
            # What computed the sizes is removed first: there may be several times as much of it as of the network.
            RemoveUnusedNodesPass()(model)
            InferShapes()(model)
            modified = True
        return ir.passes.PassResult(model, modified)


def _fold(graph: ir.Graph) -> bool:
    """Replace computed sizes by constants once; return whether there were any."""
    sizes: dict[ir.Value, Sizes] = {}
    folded = False
    for node in list(graph):
        if node.op_type in ("Expand", "Reshape") and not node.domain:
            _refine(node, sizes)
        constants = _evaluate(node) or _complete(node, sizes)
        folded |= _replace(graph, node, constants)
    return folded


def _replace(graph: ir.Graph, node: ir.Node, arrays: Sequence[_Array | None]) -> bool:
    """Replace those outputs that have a constant by it; return whether any of them was read."""
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


def _complete(node: ir.Node, sizes: dict[ir.Value, Sizes]) -> list[_Array | None]:
    """Note the sizes that a node gives, as far as they are known; return those outputs whose sizes are all known."""
    found: list[_Array | None] = []
    for output, partly in zip(node.outputs, output_sizes(node, sizes), strict=False):
        found.append(None)
        if partly is None:
            continue
        sizes[output] = partly
        if None not in partly and output.dtype in SIZE_TYPES:
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
    if any(tensor.size > LARGEST for tensor in tensors.values()) or _is_quantized(node):
        return None
    feeds = {name: tensor.numpy() for name, tensor in tensors.items()}
    try:
        with np.errstate(all="ignore"):
            outputs: Any = ReferenceEvaluator(ir.to_proto(node)).run(None, feeds)
    except Exception:
        # What onnx's evaluator cannot compute is left to the runtime.
        return None
    arrays = [np.asarray(output) for output in outputs]
    fit = [_fits(array, value) for array, value in zip(arrays, node.outputs, strict=True)]
    return list(arrays) if all(fit) else None


def _fits(array: _Array, value: ir.Value) -> bool:
    """Whether a constant may stand for a value."""
    expected = value.dtype
    return array.size <= LARGEST and array.dtype != object and (expected is None or expected.numpy() == array.dtype)


def _is_quantized(node: ir.Node) -> bool:
    """Whether onnxruntime looks for the node when it fuses integer kernels: without it, it rounds other numbers."""
    return "quantize" in node.op_type.lower() or "QLinear" in node.op_type


def _refine(node: ir.Node, known_sizes: dict[ir.Value, Sizes]) -> None:
    """Set the shape of an output of Expand or Reshape as far as its target is known, for the nodes after it."""
    source, target = node.inputs[0], node.inputs[1]
    wanted = None if target is None else known_sizes.get(target)
    if wanted is None or source is None or source.shape is None:
        return
    old: Sizes = [dim if isinstance(dim, int) else None for dim in source.shape]
    if node.op_type == "Expand":
        padded: Sizes = [*([1] * (len(wanted) - len(old))), *old]
        sizes = [have if want == 1 else want for have, want in zip(padded, wanted[-len(padded) :], strict=False)]
    else:
        sizes = [None if want in (0, -1) else want for want in wanted]
    output = node.outputs[0]
    known = [None] * len(sizes) if output.shape is None else list(output.shape.dims)
    if len(known) == len(sizes):
        pairs = zip(known, sizes, strict=True)
        output.shape = ir.Shape([have if isinstance(have, int) or size is None else size for have, size in pairs])
