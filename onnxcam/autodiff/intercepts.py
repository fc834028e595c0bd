"""What a node adds to the score beside its inputs: the part of its result that its tangent plane has at zero.

A node ``y = f(x_1, ..., x_n)`` equals its tangent plane ``y = sum_i J_i x_i + b``, with the intercept
``b = y - sum_i J_i x_i``: the bias of a layer, and the implicit bias of an activation, ``f(x) - f'(x) x``. The terms
``g b`` of all nodes and ``g x`` of the input, with ``g`` the gradients of the score, sum to the score.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from onnxcam.autodiff.builder import Builder, Var, shape_of
from onnxcam.autodiff.node import cotangent_type
from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.analysis.quantization import quantization
from onnxcam.graph.analysis.subgraphs import captured
from onnxcam.graph.operators import Trait, traits

# Name of the group whose terms are summed up to one number of the whole run.
REST = "rest"
_SAME_POSITIONS = Trait.ELEMENTWISE | Trait.NORMALISES
_AFFINE = Trait.LINEAR_IN_ALL | Trait.MOVES


def intercept_name(group: str) -> str:
    """Return the name of the output that holds the terms of a group of nodes."""
    return f"intercept/{group}"


def has_intercept(node: ir.Node, wanted: Container[ir.Value]) -> bool:
    """Whether a node can have an intercept other than 0, given the values that the gradient passes."""
    found = traits(node.op_type)
    varying = [index for index, value in enumerate(node.inputs) if value is not None and value in wanted]
    others = [value for value in node.inputs if value is not None and value not in wanted and value.dtype in FLOATS]
    if node.op_type == "DequantizeLinear":
        return False
    if node.domain:
        return True
    if found & Trait.LINEAR_IN_EACH:
        return len([index for index in varying if index < operands(node)]) > 1 or added(node, wanted) is not None
    if node.op_type in ("Max", "Min", "Where") or found & _AFFINE:
        return not all(map(_is_zero, others))
    if node.op_type == "Clip":
        bounds = [*node.inputs[1:], None, None][:2]
        return bounds[1] is not None or not (bounds[0] is None or _is_zero(bounds[0]))
    if node.op_type == "BatchNormalization" or node.attributes.get_float("extrapolation_value", 0.0) != 0.0:
        return True
    linear = found & (Trait.LINEAR_IN_FIRST | Trait.SCALES | Trait.PICKS | Trait.AVERAGES)
    return not (linear and varying == [0])


def has_positions(node: ir.Node) -> bool:
    """Whether the terms of a node are found at the positions of its result, and not their sum alone."""
    found = traits(node.op_type)
    known = found & (_SAME_POSITIONS | _AFFINE | Trait.LINEAR_IN_EACH)
    return node.op_type in ("QuantizeLinear", "Softmax", "LogSoftmax") or bool(known and not node.domain)


def operands(node: ir.Node) -> int:
    """Return how many of a product's inputs are multiplied."""
    return 2 if traits(node.op_type) & Trait.TAKES_BIAS else len(node.inputs)


def added(node: ir.Node, wanted: Container[ir.Value]) -> ir.Value | None:
    """Return what a product adds that does not depend on the input of the network."""
    takes = traits(node.op_type) & Trait.TAKES_BIAS and len(node.inputs) > 2
    value = node.inputs[2] if takes else None
    return None if value is None or value in wanted else value


def _is_zero(value: ir.Value) -> bool:
    tensor = value.const_value
    return tensor is not None and not tensor.numpy().any()


class Intercepts:
    """Writes the terms of some nodes while their backward pass is written.

    Attributes:
        groups: for each group the names of the first outputs of its nodes.
    """

    def __init__(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Remember which nodes count."""
        self.groups = groups
        self._group = {name: group for group, names in groups.items() for name in names}
        self._terms: dict[str, list[Var]] = {group: [] for group in groups}

    def see(
        self,
        op: Builder,
        node: ir.Node,
        wanted: Container[ir.Value],
        cotangents: Sequence[Var | None],
        received: Mapping[int, Var],
        broadcasts: bool,
    ) -> None:
        """Write the term of a node, if it counts.

        Args:
            op: where to write.
            node: the node.
            wanted: values that the gradient passes.
            cotangents: of its outputs.
            received: what its inputs receive by their position.
            broadcasts: whether that is not yet summed over what was broadcast.
        """
        group = self._group.get(str(node.outputs[0].name))
        if group is None:
            return
        whole = group == REST
        dy = cotangents[0]
        if whole or dy is None:
            self._terms[group].append(_total(op, node, cotangents, received))
        else:
            self._terms[group].append(_at_positions(op, node, wanted, dy, received, broadcasts))

    def outputs(self, op: Builder) -> list[ir.Value]:
        """Return one output for each group, ``[1]`` for the rest; 0 where no gradient reaches a group."""
        found = []
        for group, terms in self._terms.items():
            parts = [op.cast(term, ir.DataType.FLOAT) for term in terms] or [op.const(np.zeros(1, np.float32))]
            total = op.Sum(*parts) if len(parts) > 1 else parts[0]
            output = op.Reshape(total, [1]).value if group == REST else op.Identity(total).value
            output.name = op.claim(intercept_name(group))
            found.append(output)
        return found


def _at_positions(
    op: Builder,
    node: ir.Node,
    wanted: Container[ir.Value],
    dy: Var,
    received: Mapping[int, Var],
    broadcasts: bool,
) -> Var:
    found, y = traits(node.op_type), node.outputs[0]
    if found & Trait.LINEAR_IN_EACH:
        return dy * _of_product(op, node, wanted)
    if found & _AFFINE and not found & Trait.ELEMENTWISE:
        nothing = [op.var(v) * 0.0 if v is not None and v in wanted else v for v in node.inputs]
        inputs = [entry.value if isinstance(entry, Var) else entry for entry in nothing]
        result = ir.Value(name=op.unique(node.op_type), type=y.type, shape=y.shape)
        op.graph.append(ir.Node("", node.op_type, inputs, list(node.attributes.values()), outputs=[result]))
        return dy * op.cast(op.var(result), dy.dtype)
    term = dy * _signal(op, y)
    for index, dx in received.items():
        value = node.inputs[index]
        assert value is not None
        part = dx * _signal(op, value)
        if not broadcasts and shape_of(value) != shape_of(y):
            # A parameter that is computed has no positions.
            part = op.ReduceSum(part, keepdims=0) / op.cast(op.Size(op.var(y)), dy.dtype)
        term = term - part
    return term


def _of_product(op: Builder, node: ir.Node, wanted: Container[ir.Value]) -> Var:
    """Return the intercept of a product of ``k`` inputs that vary, plus ``c``: ``(1 - k) (y - c)``, plus a fixed c."""
    count = sum(value is not None and value in wanted for value in node.inputs[: operands(node)])
    y, fixed = _signal(op, node.outputs[0]), added(node, wanted)
    takes = traits(node.op_type) & Trait.TAKES_BIAS and len(node.inputs) > 2
    value = node.inputs[2] if takes else None
    if value is None:
        return y * (1.0 - count)
    c = op.cast(op.var(value), y.dtype) * node.attributes.get_float("beta", 1.0)
    if node.op_type != "Gemm":
        c = op.Reshape(c, [-1, *[1] * (len(node.outputs[0].shape or ()) - 2)])
    # Repeated to the result's shape.
    c = c + y * 0.0
    product = (y - c) * (1.0 - count) if count != 1 else None
    parts = [part for part in (product, c if fixed is not None else None) if part is not None]
    return parts[0] + parts[1] if len(parts) > 1 else parts[0]


def _total(op: Builder, node: ir.Node, cotangents: Sequence[Var | None], received: Mapping[int, Var]) -> Var:
    """Return the sum of a node's terms."""
    inputs = [*node.inputs, *captured(node)]
    # A loop outputs more once its backward pass is written: the states before each step.
    pairs = [(1.0, dy, value) for dy, value in zip(cotangents, node.outputs, strict=False) if dy is not None]
    pairs += [(-1.0, dx, value) for index, dx in received.items() if (value := inputs[index]) is not None]
    sums = [op.ReduceSum(d * _signal(op, value), keepdims=0) * sign for sign, d, value in pairs]
    return op.Sum(*sums) if len(sums) > 1 else sums[0]


def _signal(op: Builder, value: ir.Value) -> Var:
    """Return a value in the type of gradients; integers as their distance from the number that stands for 0."""
    kind = cotangent_type(value)
    found = op.cast(op.var(value), kind)
    stated = None if value.dtype in FLOATS or value.dtype is None else quantization(value)
    if stated is None or stated[1] is None or len(stated[1].shape or ()) > 1:
        return found
    return found - op.cast(op.var(stated[1]), kind)
