"""Inline operators that ONNX defines through others.

Node by node: each is put into a small model of its own, whose inlined nodes then replace it, so that the weights of
the whole model are never copied. ONNX's own inliner is not used: it fails where an optional input is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

_INSIDE = "/function/"
# Domain of the definition in the small model.
_DOMAIN = "onnxcam.definition"
# Constants up to this size may decide what the definition is: sizes, axes, pads.
_LARGEST_CONSTANT = 1024
Prepare = Callable[[ir.Model], ir.Model]


def _schema(op_type: str, opset: int, domain: str) -> Any:
    """Return ONNX's description of an operator; its type stubs lack what is read of it here."""
    return onnx.defs.get_schema(op_type, opset, domain)


def has_definition(node: ir.Node, opset: int) -> bool:
    """Whether ONNX defines the node's operator through others."""
    if any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values()):
        return False  # a graph cannot be handed on to a definition
    try:
        schema = _schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def inline_function(model: ir.Model, node: ir.Node, prepare: Prepare) -> bool:
    """Replace a node of the model's main graph by its operator's definition.

    Args:
        model: changed in place.
        node: one of its nodes.
        prepare: brings the inlined small model into canonical form, shapes included.

    Returns:
        Whether the operator has a definition for inputs of these types.
    """
    graph = model.graph
    definition = _definition(node, graph.opset_imports[node.domain])
    if definition is None or not _is_current(definition, graph.opset_imports):
        return False
    inlined = passes.InlinePass()(ir.from_proto(_small_model(model, node, definition))).model
    inlined.graph.opset_imports.pop(_DOMAIN, None)
    small = prepare(inlined)
    given = {value.name: value for value in node.inputs if value is not None}
    for value in [*small.graph.inputs, *small.graph.initializers.values()]:
        if value.name in given:
            ir.convenience.replace_all_uses_with(value, given[value.name])
            small.graph.initializers.pop(str(value.name), None)
    named = [value for value in node.outputs if value.name]
    results = {str(old.name): new for old, new in zip(named, list(small.graph.outputs), strict=True)}
    prefix = f"{named[0].name}{_INSIDE}"
    _move_weights(small.graph, graph, prefix)
    nodes = list(small.graph)
    small.graph.outputs.clear()
    for position, inner in enumerate(small.graph.all_nodes()):
        inner.name = f"{prefix}{position}_{inner.op_type}"
        for value in inner.outputs:
            value.name = f"{prefix}{value.name}" if value.name else value.name
    small.graph.remove(nodes)
    new = [results[str(value.name)] for value in named]
    ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, named, new)
    for domain, version in small.opset_imports.items():
        graph.opset_imports.setdefault(domain, version)
    return True


def _definition(node: ir.Node, opset: int) -> onnx.FunctionProto | None:
    """Return the definition of a node's operator for its attributes and inputs, None if there is none."""
    schema = _schema(node.op_type, opset, node.domain)
    if schema.has_function:
        body: onnx.FunctionProto = schema.function_body
        return body
    kinds = [onnx.TypeProto() if value is None else ir.to_proto(value).type for value in node.inputs]
    # The one written for the newest operators that the model's own include.
    version = max((v for v in schema.context_dependent_function_opset_versions if v <= opset), default=None)
    if version is None:
        return None
    text = schema.get_context_dependent_function_with_opset_version(
        version, ir.to_proto(node).SerializeToString(), [kind.SerializeToString() for kind in kinds]
    )
    return onnx.FunctionProto.FromString(text) if text else None


def _is_current(definition: onnx.FunctionProto, opsets: dict[str, int]) -> bool:
    """Whether a definition for older operators means the same for the model's: they still have its attributes."""
    for inner in definition.node:
        version = opsets.get(inner.domain)
        if version is None or not onnx.defs.has(inner.op_type, version, inner.domain):
            return version is None
        known = onnx.defs.get_schema(inner.op_type, version, inner.domain).attributes
        if any(attribute.name not in known for attribute in inner.attribute):
            return False
    return True


def _small_model(model: ir.Model, node: ir.Node, definition: onnx.FunctionProto) -> onnx.ModelProto:
    """Return a model of this node alone, as a call of a function: its definition."""
    inputs, weights = [], []
    for value in dict.fromkeys(value for value in node.inputs if value is not None):
        known = value.const_value
        if known is not None and known.size <= _LARGEST_CONSTANT:
            tensor = ir.to_proto(known)
            tensor.name = str(value.name)
            weights.append(tensor)
        inputs.append(ir.to_proto(value))
    call = ir.to_proto(node)
    given = {attribute.name for attribute in call.attribute}
    schema = _schema(node.op_type, model.graph.opset_imports[node.domain], node.domain)
    call.attribute.extend(
        attribute.default_value
        for name, attribute in schema.attributes.items()
        if name not in given and attribute.default_value.name
    )
    function = onnx.FunctionProto()
    function.CopyFrom(definition)
    call.domain = function.domain = _DOMAIN
    for entry in function.opset_import:
        entry.version = model.graph.opset_imports.get(entry.domain, entry.version)
    # A definition leaves out outputs that the node does not have.
    kept = [index for index, value in enumerate(node.outputs) if value.name]
    names = [function.output[index] for index in kept]
    del function.output[:], call.output[:]
    function.output.extend(names)
    call.output.extend(str(node.outputs[index].name) for index in kept)
    outputs = [ir.to_proto(value) for value in node.outputs if value.name]
    graph = onnx.helper.make_graph([call], "definition", inputs, outputs, weights)
    imports = {**model.graph.opset_imports, _DOMAIN: 1}
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in imports.items()]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version, functions=[function])


def _move_weights(small: ir.Graph, graph: ir.Graph, prefix: str) -> None:
    """Move the initializers of the small model to the whole one, under names of their own."""
    for value in list(small.initializers.values()):
        small.initializers.pop(str(value.name))
        value.name = f"{prefix}{value.name}"
        graph.register_initializer(value)
