"""Write fused operators, which onnxruntime's optimiser makes of ONNX's, as ONNX's operators again.

This is done to every such node when a model is brought into canonical form: shapes, layers, gradient rules and
relevance rules then meet operators that they know, and no second set of rules has to be kept right. onnxruntime fuses
what it can when it loads the result; scores move by the rounding of one float32 operation, as they do between its own
optimisation levels. Quantised operators stay as they are, since rounding to integers would not forgive that.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnxcam.errors import ModelError, UnsupportedError
from onnxcam.graph.analysis.quantization import MICROSOFT

Operand: TypeAlias = "ir.Value | float | Sequence[int] | None"
Attribute: TypeAlias = "int | float | str | Sequence[int] | ir.Attr"
# Results in the order of the node's outputs; None, or missing at the end, for those that have no counterpart.
Results: TypeAlias = Sequence[ir.Value | None]
Expansion: TypeAlias = "Callable[[Writer, ir.Node], Results]"

_EXPANSIONS: dict[str, Expansion] = {}
_MODULES = ("fused", "fused_attention", "fused_integers")
# In the names of what expansions write: no exporter does.
_EXPANDED = "/expanded/"
# Layouts that fit one machine only.
_BLOCKED = "com.microsoft.nchwc"


class UnknownRankError(Exception):
    """An expansion needs a rank that shape inference has not found yet."""


def expansion(*op_types: str) -> Callable[[Expansion], Expansion]:
    """Register how an operator of com.microsoft is written in ONNX's."""

    def register(function: Expansion) -> Expansion:
        for op_type in op_types:
            if op_type in _EXPANSIONS:
                raise RuntimeError(f"two expansions of {op_type}")
            _EXPANSIONS[op_type] = function
        return function

    return register


@cache
def expansions() -> dict[str, Expansion]:
    """Return every expansion by operator."""
    for module in _MODULES:
        importlib.import_module(f"onnxcam.graph.passes.{module}")
    return dict(_EXPANSIONS)


class Writer:
    """Collects the nodes that stand for one; any ONNX operator is a method."""

    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self.nodes: list[ir.Node] = []
        self._prefix = str(node.outputs[0].name)
        self._numbers = 0

    def __getattr__(self, op_type: str) -> Callable[..., ir.Value]:
        if not op_type[:1].isupper():
            raise AttributeError(op_type)

        def emit(*operands: Operand, **attributes: Attribute) -> ir.Value:
            return self.emit(op_type, operands, attributes)[0]

        return emit

    def emit(
        self, op_type: str, operands: Sequence[Operand], attributes: dict[str, Attribute], outputs: int = 1
    ) -> Sequence[ir.Value]:
        """Append one node and return its outputs; numbers take the type of the first value."""
        like = next((operand for operand in operands if isinstance(operand, ir.Value)), None)
        inputs = [self._value(operand, like) for operand in operands]
        names = [f"{self._prefix}{_EXPANDED}{len(self.nodes)}_{op_type}{i or ''}" for i in range(outputs)]
        given = {name: value for name, value in attributes.items() if not isinstance(value, ir.Attr)}
        node = ir.node(op_type, inputs, given, outputs=[ir.Value(name=name) for name in names], name=names[0])
        for attribute in attributes.values():
            if isinstance(attribute, ir.Attr):
                node.attributes.add(attribute)
        self.nodes.append(node)
        return node.outputs

    def _value(self, operand: Operand, like: ir.Value | None) -> ir.Value | None:
        if operand is None or isinstance(operand, ir.Value):
            return operand
        if not isinstance(operand, (int, float)):
            return self.constant(np.asarray(operand, np.int64))
        if like is not None and like.dtype is not None:
            return self.constant(np.asarray(operand, like.dtype.numpy()))
        number = self.constant(np.asarray(operand, np.float32))
        return number if like is None else self.CastLike(number, like)

    def constant(self, array: npt.NDArray[np.generic] | np.generic) -> ir.Value:
        """Return a value that the file fixes."""
        array = np.asarray(array)
        self._numbers += 1
        name = f"{self._prefix}{_EXPANDED}const_{self._numbers}"
        dtype = ir.DataType.from_numpy(array.dtype)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(dtype))
        value.const_value = ir.tensor(array, name=name)
        graph = self.node.graph
        if not isinstance(graph, ir.Graph):
            raise TypeError("only nodes of a graph are expanded")
        graph.register_initializer(value)
        return value

    def input(self, index: int) -> ir.Value | None:
        """Return an optional input of the node."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def required(self, index: int) -> ir.Value:
        """Return an input of the node.

        Raises:
            ModelError: it is missing.
        """
        value = self.input(index)
        if value is None:
            raise ModelError(f"{self.node.op_type} '{self.node.name}' has no input {index}; export the model again")
        return value

    def refuse(self, what: str) -> UnsupportedError:
        """Return the error that says what of the node cannot be written in ONNX's operators."""
        return UnsupportedError(
            f"{self.node.op_type} '{self.node.name}': {what} is not supported; "
            "explain the model as it was before onnxruntime optimised it"
        )


def rank(value: ir.Value) -> int:
    """Return the rank of a value.

    Raises:
        UnknownRankError: it is not known yet.
    """
    if value.shape is None:
        raise UnknownRankError(str(value.name))
    return len(value.shape)


def claim_operators(model: ir.Model) -> ir.Model:
    """Give operators that onnxruntime writes into ONNX's own domain, where ONNX does not have them, the right one."""
    opset = model.graph.opset_imports.get("", 0)
    for node in model.graph.all_nodes():
        early = node.op_type == "LayerNormalization" and opset < 17
        if node.domain == "" and (early or node.op_type == "SimplifiedLayerNormalization"):
            node.domain = MICROSOFT
            model.graph.opset_imports.setdefault(MICROSOFT, 1)
    return model


def expand(model: ir.Model, infer: Callable[[ir.Model], ir.Model]) -> ir.Model:
    """Expand every fused operator.

    Args:
        model: changed in place.
        infer: finds shapes; called only where an expansion waits for one.

    Raises:
        ModelError: the file is optimised for the layout of one machine.
        UnsupportedError: an operator has a form that ONNX's operators cannot give, or needs a rank that is not known.
    """
    known = expansions()
    if any(node.domain == _BLOCKED for node in model.graph.all_nodes()):
        raise ModelError(
            "onnxruntime saved this file with the memory layout of one machine (com.microsoft.nchwc); "
            "save it with ORT_ENABLE_EXTENDED, or explain the original"
        )
    waiting = [node for node in model.graph.all_nodes() if node.domain == MICROSOFT and node.op_type in known]
    while waiting:
        left = [node for node in waiting if not _expand_one(node, known[node.op_type])]
        if left and len(left) == len(waiting):
            node = left[0]
            raise UnsupportedError(
                f"{node.op_type} '{node.name}': the ranks of its inputs are not known; "
                "explain the model as it was before onnxruntime optimised it"
            )
        waiting = left
        if waiting:
            model = infer(model)
    return model


def settle_numbers(model: ir.Model) -> ir.Model:
    """Give the numbers in expansions the type that shape inference has found for what they meet."""
    for node in list(model.graph.all_nodes()):
        if node.op_type != "CastLike" or _EXPANDED not in str(node.outputs[0].name):
            continue
        number, like = node.inputs
        graph = node.graph
        if number is None or number.const_value is None or like is None or like.dtype is None or graph is None:
            continue
        typed = Writer(node).constant(number.const_value.numpy().astype(like.dtype.numpy()))
        ir.convenience.replace_nodes_and_values(graph, node, [node], [], [node.outputs[0]], [typed])
    return model


def _expand_one(node: ir.Node, function: Expansion) -> bool:
    """Replace one node; False where a rank is missing."""
    op = Writer(node)
    try:
        results = function(op, node)
    except UnknownRankError:
        for made in op.nodes:
            for index in range(len(made.inputs)):
                made.replace_input_with(index, None)
        return False
    pairs = [(old, new) for old, new in zip(node.outputs, results, strict=False) if new is not None]
    lost = [old for old in node.outputs if old not in {o for o, _ in pairs} and (old.uses() or old.is_graph_output())]
    if lost:
        raise op.refuse(f"its output '{lost[0].name}'")
    graph = node.graph
    if graph is None:
        raise TypeError("only nodes of a graph are expanded")
    ir.convenience.replace_nodes_and_values(
        graph, node, [node], op.nodes, [old for old, _ in pairs], [new for _, new in pairs]
    )
    # Whoever names the node gets its result.
    producer = pairs[0][1].producer()
    if producer is not None and node.name:
        producer.name = node.name
    return True
