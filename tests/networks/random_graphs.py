"""Random graphs with branches, shared values and broadcasting, and the property that every one of them has to show."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from hypothesis import assume
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from onnxcam.autodiff.differentiate import gradient_name
from tests.helpers.checks import Reference, cotangent_like, differentiate
from tests.helpers.sample import Array

MOST_OPERATORS = 12
_MOST_NUMBERS = 200
_STEP = 1e-4
_RTOL = 1e-6
_SHAPES = [(2, 3), (1, 3), (3,), (2, 1), (1,), (), (4, 2, 3), (1, 2, 4, 4), (2, 2, 4, 4)]
_UNARY = ["Tanh", "Sigmoid", "Sin", "Neg", "Softplus", "LeakyRelu", "Identity"]
_BINARY = ["Add", "Sub", "Mul"]
_REDUCTIONS = ["ReduceSum", "ReduceMean", "ReduceLogSumExp"]
Shape = tuple[int, ...]


@dataclass
class Graph:
    """A graph that grows; every value has a name and a shape."""

    draw: st.DrawFn
    shapes: dict[str, Shape] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def pick(self, fits: Callable[[Shape], bool] = lambda shape: True) -> str | None:
        names = [name for name, shape in self.shapes.items() if fits(shape)]
        # Late values come first in shrinking, so that small counterexamples are chains.
        return self.draw(st.sampled_from(names[::-1])) if names else None

    def constant(self, array: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def weights(self, *shape: int) -> str:
        return self.constant(np.random.default_rng(len(self.constants)).uniform(-1, 1, shape))

    def add(self, op: str, inputs: list[str], shape: Shape, **attributes: Any) -> None:
        if prod(shape) <= _MOST_NUMBERS and prod(shape) > 0:
            name = f"v{len(self.nodes)}"
            self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
            self.shapes[name] = shape


def _unary(g: Graph) -> None:
    x = g.pick()
    assert x is not None
    g.add(g.draw(st.sampled_from(_UNARY)), [x], g.shapes[x])


def _fits(shape: Shape, other: Shape) -> bool:
    return all(1 in (a, b) or a == b for a, b in zip(shape[::-1], other[::-1], strict=False))


def _binary(g: Graph) -> None:
    x = g.pick()
    assert x is not None
    y = g.pick(lambda shape: _fits(shape, g.shapes[x]))
    assert y is not None
    g.add(g.draw(st.sampled_from(_BINARY)), [x, y], np.broadcast_shapes(g.shapes[x], g.shapes[y]))


def _variadic(g: Graph) -> None:
    x = g.pick()
    assert x is not None
    others = [g.pick(lambda shape: shape in (g.shapes[x], (), (1,))) for _ in range(2)]
    names = [x, *(name for name in others if name is not None)]
    g.add(g.draw(st.sampled_from(["Sum", "Mean"])), names, np.broadcast_shapes(*(g.shapes[n] for n in names)))


def _matmul(g: Graph) -> None:
    x = g.pick(lambda shape: len(shape) >= 2)
    if x is None:
        return
    *rows, inner = g.shapes[x]
    y = g.pick(lambda shape: len(shape) == 2 and shape[0] == inner) if g.draw(st.booleans()) else None
    if y is None:
        columns = g.draw(st.integers(1, 3))
        g.add("MatMul", [x, g.weights(inner, columns)], (*rows, columns))
    else:
        g.add("MatMul", [x, y], (*rows, g.shapes[y][1]))


def _axis(g: Graph, x: str) -> int:
    return g.draw(st.integers(0, len(g.shapes[x]) - 1))


def _reduce(g: Graph) -> None:
    x = g.pick(lambda shape: len(shape) > 0)
    if x is None:
        return
    axis, keep = _axis(g, x), g.draw(st.booleans())
    shape = list(g.shapes[x])
    shape[axis : axis + 1] = [1] if keep else []
    op = g.draw(st.sampled_from(_REDUCTIONS))
    g.add(op, [x, g.constant(np.array([axis]))], tuple(shape), keepdims=int(keep))


def _softmax(g: Graph) -> None:
    x = g.pick(lambda shape: len(shape) > 0)
    if x is not None:
        g.add(g.draw(st.sampled_from(["Softmax", "LogSoftmax"])), [x], g.shapes[x], axis=_axis(g, x))


def _transpose(g: Graph) -> None:
    x = g.pick(lambda shape: len(shape) >= 2)
    if x is not None:
        perm = g.draw(st.permutations(range(len(g.shapes[x]))))
        g.add("Transpose", [x], tuple(g.shapes[x][axis] for axis in perm), perm=perm)


def _reshape(g: Graph) -> None:
    x = g.pick()
    assert x is not None
    count = prod(g.shapes[x])
    first = g.draw(st.sampled_from([d for d in range(1, count + 1) if count % d == 0]))
    shape = (first, count // first)
    g.add("Reshape", [x, g.constant(np.array([first, -1]))], shape)


def _concat(g: Graph) -> None:
    x = g.pick(lambda shape: len(shape) > 0)
    if x is None:
        return
    axis = _axis(g, x)

    def rest(shape: Shape) -> Shape:
        return shape[:axis] + shape[axis + 1 :]

    shape = g.shapes[x]
    y = g.pick(lambda other: len(other) == len(shape) and rest(other) == rest(shape))
    assert y is not None
    joined = (*shape[:axis], shape[axis] + g.shapes[y][axis], *shape[axis + 1 :])
    g.add("Concat", [x, y], joined, axis=axis)


def _slice(g: Graph) -> None:
    x = g.pick(lambda shape: len(shape) > 0)
    if x is None:
        return
    axis = _axis(g, x)
    size = g.shapes[x][axis]
    start = g.draw(st.integers(0, size - 1))
    step = g.draw(st.integers(1, 2))
    shape = list(g.shapes[x])
    shape[axis] = len(range(start, size, step))
    arguments = [g.constant(np.array([n])) for n in (start, size, axis, step)]
    g.add("Slice", [x, *arguments], tuple(shape))


def _gather(g: Graph) -> None:
    x = g.pick(lambda shape: len(shape) > 0)
    if x is None:
        return
    axis = _axis(g, x)
    indices = g.draw(st.lists(st.integers(0, g.shapes[x][axis] - 1), min_size=1, max_size=3))
    shape = (*g.shapes[x][:axis], len(indices), *g.shapes[x][axis + 1 :])
    g.add("Gather", [x, g.constant(np.array(indices))], shape, axis=axis)


def _expand(g: Graph) -> None:
    x = g.pick(lambda shape: len(shape) < 3)
    if x is not None:
        shape = (2, *g.shapes[x])
        g.add("Expand", [x, g.constant(np.array(shape))], shape)


def _conv(g: Graph) -> None:
    x = g.pick(lambda shape: len(shape) == 4 and min(shape[2:]) >= 2)
    if x is None:
        return
    batch, channels, *space = g.shapes[x]
    stride, pad, outputs = g.draw(st.integers(1, 2)), g.draw(st.integers(0, 1)), g.draw(st.integers(1, 2))
    kernel = 2
    sizes = [(size + 2 * pad - kernel) // stride + 1 for size in space]
    weight = g.weights(outputs, channels, kernel, kernel)
    g.add("Conv", [x, weight], (batch, outputs, *sizes), strides=[stride] * 2, pads=[pad] * 4)


_STEPS = [
    *[_unary, _binary, _binary, _variadic, _matmul, _reduce, _softmax, _transpose],
    *[_reshape, _concat, _slice, _gather, _expand, _conv],
]


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    """Draw a model in float64 whose output ``score`` joins all values that nothing else reads."""
    g = Graph(draw)
    for index, shape in enumerate(draw(st.lists(st.sampled_from(_SHAPES), min_size=1, max_size=3))):
        g.shapes[f"x{index}"] = shape
    inputs = dict(g.shapes)
    for step in draw(st.lists(st.sampled_from(_STEPS), min_size=1, max_size=MOST_OPERATORS)):
        step(g)
    assume(g.nodes)
    read = {name for node in g.nodes for name in node.input}
    ends = [name for name in g.shapes if name not in read and name not in inputs]
    flat = g.constant(np.array([-1]))
    nodes = [*g.nodes, *(helper.make_node("Reshape", [name, flat], [f"{name}_flat"]) for name in ends)]
    nodes.append(helper.make_node("Concat", [f"{name}_flat" for name in ends], ["score"], axis=0))
    is_open = draw(st.booleans())
    graph = helper.make_graph(
        nodes,
        "random",
        [_described(name, shape, is_open) for name, shape in inputs.items() if name in read],
        [helper.make_tensor_value_info("score", TensorProto.DOUBLE, [None])],
        [numpy_helper.from_array(array, name) for name, array in g.constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _described(name: str, shape: Shape, is_open: bool) -> onnx.ValueInfoProto:
    """Describe an input; with ``is_open`` the file says its rank only, and broadcasting shows when it runs."""
    sizes = [f"{name}_{axis}" for axis in range(len(shape))] if is_open else list(shape)
    value = helper.make_tensor_value_info(name, TensorProto.DOUBLE, sizes)
    value.doc_string = json.dumps(shape)
    return value


def check(model: onnx.ModelProto) -> None:
    """Compare the gradients of a random cotangent with differences, for each input by itself.

    Raises:
        AssertionError: they differ, or a gradient has another shape than its value.
    """
    rng = np.random.default_rng(0)
    shapes = {value.name: tuple(json.loads(value.doc_string)) for value in model.graph.input}
    feeds = {name: np.asarray(rng.uniform(-1, 1, shape)) for name, shape in shapes.items()}
    run = Reference(model)
    score = run(feeds)["score"]
    assume(np.isfinite(score).all() and abs(score).max() < 50)
    cotangent = cotangent_like(score)
    found = Reference(differentiate(model, "score", list(feeds)))(feeds | {"cotangent": cotangent})
    for name, x in feeds.items():
        gradient = found[gradient_name(name)]
        assert gradient.shape == x.shape, f"gradient of {name} has shape {gradient.shape}, not {x.shape}"
        direction = rng.standard_normal(x.shape)

        def along(distance: float, name: str = name, x: Array = x, direction: Array = direction) -> float:
            ends = (run(feeds | {name: np.asarray(x + sign * distance * direction)})["score"] for sign in (1, -1))
            return float(np.vdot(cotangent, np.subtract(*ends)) / (2 * distance))

        # Two steps cancel the curvature that one leaves.
        slope = (4 * along(_STEP / 2) - along(_STEP)) / 3
        claimed = float(np.vdot(gradient, direction))
        size = max(float(np.linalg.norm(gradient) * np.linalg.norm(direction)), abs(slope), 1e-3)
        assert abs(claimed - slope) <= _RTOL * size, f"{name}: {claimed} against slope {slope}"
