"""Branches that are chosen while the graph runs."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.bodies import copied, refuse_chance
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, cotangent_type
from onnxcam.autodiff.registry import Cotangents, vjp

_BRANCHES = ("then_branch", "else_branch")


@vjp("If", all_outputs=True)
def if_(op: Builder, node: NodeView, dys: list[Var | None]) -> Cotangents:
    """The same choice between the backward passes of both branches. A branch keeps its values to itself, so that its
    backward pass computes them again.
    """
    refuse_chance(node.node)
    backward = [_backward(op, node, node.node.attributes[name].as_graph(), dys) for name in _BRANCHES]
    outputs = [
        ir.Value(name=op.unique("If"), type=ir.TensorType(cotangent_type(value)), shape=value.shape)
        for value in node.wanted
    ]
    attributes = [ir.AttrGraph(name, body) for name, body in zip(_BRANCHES, backward, strict=True)]
    op.graph.append(ir.Node("", "If", [node.node.inputs[0]], attributes, outputs=outputs, name=outputs[0].name))
    found = dict(zip(node.wanted, outputs, strict=True))
    return None, *(op.var(found[value]) if value in found else None for value in node.captured)


def _backward(op: Builder, node: NodeView, body: ir.Graph, dys: list[Var | None]) -> ir.Graph:
    """Return a copy of a branch that gives the cotangents of the wanted values around it instead of its results."""
    copy, inside = copied(op, body)
    cotangents = node.differentiate(inside, copy, dys, node.wanted)
    copy.outputs.clear()
    for value, cotangent in zip(node.wanted, cotangents, strict=True):
        dtype = cotangent_type(value)
        # A branch may not output a value from outside of it as it is.
        result = inside.Identity(
            inside.cast(cotangent, dtype)
            if cotangent is not None
            else inside.Expand(inside.const(0, dtype), shapes.shape_tensor(inside, inside.var(value)))
        )
        copy.outputs.append(result.value)
    return copy
