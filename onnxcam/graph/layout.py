"""What the axes of a value mean: batch, channels and space, followed through the graph.

Convolutions and pools fix the meaning of their axes; elementwise operators keep it, Transpose moves it, and where an
operator mixes axes it is lost.
"""

from __future__ import annotations

import onnx_ir as ir

# One letter an axis: N batch, C channels, D H W space.
AXES_BY_RANK = {3: "NCW", 4: "NCHW", 5: "NCDHW"}
_SPACE = "DHW"

TAKE_CHANNELS_FIRST = {
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "LpPool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GlobalLpPool",
    "BatchNormalization",
    "InstanceNormalization",
    "GroupNormalization",
    "LRN",
    "DepthToSpace",
    "SpaceToDepth",
    "QLinearConv",
    "ConvInteger",
}
_MIX_AXES = {
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "MatMul",
    "Gemm",
    "Einsum",
    "QLinearMatMul",
    "MatMulInteger",
    "Shape",
    "Gather",
}


def axis_meanings(graph: ir.Graph) -> dict[ir.Value, str]:
    """Return for each value whose axes are understood one letter an axis, such as ``NCHW`` or ``NHWC``."""
    known: dict[ir.Value, str] = {}
    for node in graph:
        meaning = _meaning(node, known)
        for value in node.outputs:
            if meaning is not None and value.shape is not None and len(value.shape) == len(meaning):
                known[value] = meaning
    return known


def _meaning(node: ir.Node, known: dict[ir.Value, str]) -> str | None:
    rank = None if node.outputs[0].shape is None else len(node.outputs[0].shape)
    if node.op_type in TAKE_CHANNELS_FIRST:
        return AXES_BY_RANK.get(rank or 0)
    if node.op_type in _MIX_AXES:
        return None
    given = [known[value] for value in node.inputs if value is not None and value in known]
    if not given:
        return None
    if node.op_type == "Transpose":
        perm = node.attributes.get_ints("perm", None) or list(range(len(given[0])))[::-1]
        return "".join(given[0][axis] for axis in perm)
    return max(given, key=len)


def spatial_axes(meaning: str) -> list[int]:
    """Return the positions of the axes that span space."""
    return [axis for axis, letter in enumerate(meaning) if letter in _SPACE]


def channels_first(meaning: str) -> list[int]:
    """Return the permutation that brings a value into the order batch, channels, space."""
    return [meaning.index("N"), meaning.index("C"), *spatial_axes(meaning)]
