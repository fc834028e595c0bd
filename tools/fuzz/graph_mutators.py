"""Mutations that know what a graph is: cycles, values that nobody makes, wrong counts, recursive functions."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

import onnx
from onnx import helper

Random: TypeAlias = random.Random
Mutator: TypeAlias = Callable[[onnx.ModelProto, Random], None]

_OPERATORS = tuple(sorted({schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}))
_SIZES = (0, -1, 1, 2, 3, 1000, 2**31, 2**40, 2**62)


def mutate_graph(model: onnx.ModelProto, random: Random) -> None:
    """Apply one mutation of the graph."""
    if model.graph.node:
        random.choice(_MUTATORS)(model, random)


def _node(model: onnx.ModelProto, random: Random) -> onnx.NodeProto:
    """Return a node of the graph, or of a branch or function now and then."""
    nodes: list[onnx.NodeProto] = list(model.graph.node)
    inner = [node for outer in nodes for attribute in outer.attribute for node in attribute.g.node]
    inner += [node for function in model.functions for node in function.node]
    chosen: onnx.NodeProto = random.choice(inner if inner and random.random() < 0.4 else nodes)
    return chosen


def _names(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    made = [name for node in graph.node for name in node.output]
    return [*made, *(entry.name for entry in graph.input), *(entry.name for entry in graph.initializer)]


def _read_another(model: onnx.ModelProto, random: Random) -> None:
    node = _node(model, random)
    if node.input:
        node.input[random.randrange(len(node.input))] = random.choice([*_names(model), "nobody makes this", ""])


def _remove_inputs(model: onnx.ModelProto, random: Random) -> None:
    node = _node(model, random)
    del node.input[random.randrange(len(node.input) + 1) :]


def _add_inputs(model: onnx.ModelProto, random: Random) -> None:
    _node(model, random).input.extend(random.choices(_names(model), k=random.randint(1, 4)))


def _remove_node(model: onnx.ModelProto, random: Random) -> None:
    del model.graph.node[random.randrange(len(model.graph.node))]


def _repeat_node(model: onnx.ModelProto, random: Random) -> None:
    model.graph.node.add().CopyFrom(random.choice(list(model.graph.node)))


def _rename_operator(model: onnx.ModelProto, random: Random) -> None:
    _node(model, random).op_type = random.choice((*_OPERATORS, "NoSuchOperator"))


def _swap_operators(model: onnx.ModelProto, random: Random) -> None:
    one, other = _node(model, random), _node(model, random)
    one.op_type, other.op_type = other.op_type, one.op_type


def _set_attribute(model: onnx.ModelProto, random: Random) -> None:
    node = _node(model, random)
    names = [attribute.name for attribute in node.attribute] or ["axis", "axes", "pads", "kernel_shape", "to", "perm"]
    name = random.choice(names)
    value = random.choice(
        (random.choice(_SIZES[:6]), [1, 2], [], [-5, 99], 0.5, "text", [0.5], ["a"], [0, 0, 0, 0, 0, 0])
    )
    for index, attribute in enumerate(node.attribute):
        if attribute.name == name and random.random() < 0.8:
            del node.attribute[index]
            break
    if value == []:
        node.attribute.add(name=name, type=onnx.AttributeProto.INTS)
    else:
        node.attribute.append(helper.make_attribute(name, value))


def _refer_outside(model: onnx.ModelProto, random: Random) -> None:
    node = _node(model, random)
    node.attribute.add(name="alpha", ref_attr_name="beta", type=onnx.AttributeProto.FLOAT)


def _resize_weight(model: onnx.ModelProto, random: Random) -> None:
    if model.graph.initializer:
        tensor = random.choice(list(model.graph.initializer))
        if tensor.dims and random.random() < 0.7:
            tensor.dims[random.randrange(len(tensor.dims))] = random.choice(_SIZES)
        else:
            tensor.dims.append(random.choice(_SIZES))


def _resize_value(model: onnx.ModelProto, random: Random) -> None:
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    dims = random.choice(values).type.tensor_type.shape.dim
    if dims and random.random() < 0.7:
        random.choice(list(dims)).dim_value = random.choice(_SIZES)
    elif dims and random.random() < 0.5:
        del dims[random.randrange(len(dims))]
    else:
        dims.add(dim_value=random.choice(_SIZES))


def _put_outside(model: onnx.ModelProto, random: Random) -> None:
    if not model.graph.initializer:
        return
    tensor = random.choice(list(model.graph.initializer))
    tensor.data_location = onnx.TensorProto.EXTERNAL
    places = ("w.bin", "../w.bin", "/dev/zero", "/etc/passwd", "a\x00b", "w" * 300, "", ".")
    pairs = {"location": random.choice(places), "offset": random.choice(("0", "-1", "x", "9" * 30))}
    pairs["length"] = random.choice(("0", "4", "-4", "9" * 20, "y"))
    for key, value in pairs.items():
        tensor.external_data.add(key=key, value=value)


def _change_opset(model: onnx.ModelProto, random: Random) -> None:
    if model.opset_import and random.random() < 0.8:
        random.choice(list(model.opset_import)).version = random.choice((0, 1, 5, 7, 9, 13, 15, 18, 21, 23, 99, -1))
    else:
        model.opset_import.add(domain=random.choice(("", "ai.onnx", "com.microsoft", "mine")), version=1)


def _call_itself(model: onnx.ModelProto, random: Random) -> None:
    functions = [
        helper.make_function("mine", "f", ["v"], ["w"], [helper.make_node("f", ["v"], ["w"], domain="mine")], [])
    ]
    functions[0].opset_import.add(domain="mine", version=1)
    model.functions.extend(functions)
    model.opset_import.add(domain="mine", version=1)
    node = _node(model, random)
    node.op_type, node.domain = "f", "mine"


def _rename_output(model: onnx.ModelProto, random: Random) -> None:
    output = random.choice(list(model.graph.output)) if model.graph.output else model.graph.output.add()
    output.name = random.choice(_names(model))


_MUTATORS: tuple[Mutator, ...] = (
    _read_another,
    _remove_inputs,
    _add_inputs,
    _remove_node,
    _repeat_node,
    _rename_operator,
    _swap_operators,
    _set_attribute,
    _refer_outside,
    _resize_weight,
    _resize_value,
    _put_outside,
    _change_opset,
    _call_itself,
    _rename_output,
)
