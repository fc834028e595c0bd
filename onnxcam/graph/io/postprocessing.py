"""Cut off what classifiers do after the score: probabilities into dictionaries, indices into names.

None of it can be differentiated, and not all of it can be read as tensors. It is cut off when a file is read; the names
that it knows are kept as the model's labels.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxcam.graph.operators import Trait, operators_with

_ML = "ai.onnx.ml"
# Which input of an operator holds what its names are looked up by.
_LOOKUPS = {"ZipMap": 0, "LabelEncoder": 0, "ArrayFeatureExtractor": 1, "Gather": 1}
# Operators that only change the shape or type of what is looked up.
_PASSED = operators_with(Trait.RESHAPES | Trait.COPIES) | {"Cast"}


def cut_postprocessing(model: onnx.ModelProto) -> tuple[str, ...] | None:
    """Replace outputs that are no numeric tensors by what they were made from.

    Args:
        model: changed in place.

    Returns:
        The class names that it looked up, in the order of the scores; None where there are none.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    labels: tuple[str, ...] | None = None
    for output in [value for value in graph.output if _is_looked_up(value, makers)]:
        name, found = _before(output.name, makers, graph)
        labels = labels or found
        if name == output.name:
            continue
        kind = TensorProto.INT64 if _is_index(name, makers) else TensorProto.FLOAT
        position = [value.name for value in graph.output].index(output.name)
        if name in {value.name for value in graph.output}:
            del graph.output[position]
        else:
            known = {value.name: value for value in (*graph.value_info, *graph.input)}
            shape = helper.make_empty_tensor_value_info(name)
            shape.type.tensor_type.elem_type = kind
            graph.output[position].CopyFrom(known.get(name, shape))
    _drop_dead_ends(graph)
    return labels


def _is_looked_up(value: onnx.ValueInfoProto, makers: dict[str, onnx.NodeProto]) -> bool:
    kind = value.type.WhichOneof("value")
    if kind not in (None, "tensor_type") or value.type.tensor_type.elem_type == TensorProto.STRING:
        return True
    return value.name in makers and makers[value.name].domain == _ML


def _before(name: str, makers: dict[str, onnx.NodeProto], graph: onnx.GraphProto) -> tuple[str, tuple[str, ...] | None]:
    """Return the name of the value that names were looked up by, and the names."""
    labels: tuple[str, ...] | None = None
    start = name
    while (node := makers.get(name)) is not None:
        looked_up = node.domain == _ML or (node.op_type == "Gather" and _strings(node.input[0], graph) is not None)
        if node.op_type in _LOOKUPS and looked_up and len(node.input) > _LOOKUPS[node.op_type]:
            labels = labels or _labels(node, graph)
            name = start = node.input[_LOOKUPS[node.op_type]]
        elif node.op_type in _PASSED:
            name = node.input[0]
        else:
            break
    return start, labels


def _labels(node: onnx.NodeProto, graph: onnx.GraphProto) -> tuple[str, ...] | None:
    """Return the names that an operator gives, by class."""
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "ZipMap":
        return _text(given.get("classlabels_strings")) or _text(given.get("classlabels_int64s"))
    if node.op_type != "LabelEncoder":
        return _strings(node.input[0], graph)
    if "classes_strings" in given:
        return _text(given["classes_strings"])
    names, keys = given.get("values_strings"), given.get("keys_int64s") or given.get("keys_floats")
    if not names or not keys or sorted(keys) != list(range(len(names))):
        return None
    return _text([names[list(keys).index(index)] for index in range(len(names))])


def _text(values: object) -> tuple[str, ...] | None:
    if not isinstance(values, list) or not values:
        return None
    return tuple(value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values)


def _strings(name: str, graph: onnx.GraphProto) -> tuple[str, ...] | None:
    """Return a constant of names."""
    for tensor in _constants(name, graph):
        if tensor.data_type in (TensorProto.STRING, TensorProto.INT64):
            return _text([v.decode() if isinstance(v, bytes) else v for v in numpy_helper.to_array(tensor).ravel()])
    return None


def _constants(name: str, graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from (tensor for tensor in graph.initializer if tensor.name == name)
    for node in graph.node:
        if node.op_type == "Constant" and name in node.output:
            yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))
            yield from (
                numpy_helper.from_array(numpy_helper.np.array(attribute.strings, object))  # type: ignore[attr-defined]
                for attribute in node.attribute
                if attribute.strings
            )


def _is_index(name: str, makers: dict[str, onnx.NodeProto]) -> bool:
    """Whether a value holds indices of classes rather than their scores."""
    node = makers.get(name)
    while node is not None and node.op_type in _PASSED and node.op_type != "Cast":
        node = makers.get(node.input[0])
    if node is None:
        return False
    to_whole = any(a.name == "to" and a.i in (TensorProto.INT64, TensorProto.INT32) for a in node.attribute)
    second = node.op_type == "TopK" and len(node.output) > 1 and name == node.output[1]
    return node.op_type in ("ArgMax", "ArgMin") or second or (node.op_type == "Cast" and to_whole)


def _drop_dead_ends(graph: onnx.GraphProto) -> None:
    """Remove operators of the machine-learning set that nothing reads any more, and notes on values that are gone."""
    while True:
        read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
        dead = [node for node in graph.node if node.domain == _ML and read.isdisjoint(node.output)]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    made = {name for node in graph.node for name in node.output}
    for value in [value for value in graph.value_info if value.name not in made]:
        graph.value_info.remove(value)
