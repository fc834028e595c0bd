"""Loops over slices whose number is known while the graph runs alone."""

from __future__ import annotations

import onnx_ir as ir

from onnxcam.autodiff import shapes
from onnxcam.autodiff.bodies import copied, differentiated_inputs, refuse_chance
from onnxcam.autodiff.builder import Builder, Var
from onnxcam.autodiff.node import NodeView, cotangent_type
from onnxcam.autodiff.registry import Cotangents, vjp
from onnxcam.autodiff.scan import backwards
from onnxcam.errors import UnsupportedError


@vjp("Scan", since=9, all_outputs=True)
def scan(op: Builder, node: NodeView, dys: list[Var | None]) -> Cotangents:
    """The same loop from the last slice to the first, with the backward pass of one step as its body, which passes on
    the cotangents of the states. It computes the values of each step again, from the states before it.
    """
    refuse_chance(node.node)
    _refuse(node)
    return _Loop(op, node).backward(dys)


def _refuse(node: NodeView) -> None:
    for name in ("scan_input_axes", "scan_output_axes", "scan_input_directions", "scan_output_directions"):
        if any(node.integers(name) or []):
            raise UnsupportedError(
                f"Scan '{node.node.name}': {name} other than 0 have no gradient rule; export it with slices along the "
                "first axis in their own order, or choose a later layer (closer to the output)"
            )


class _Loop:
    """A Scan and its gradient, a Scan with a body of its own."""

    def __init__(self, op: Builder, node: NodeView) -> None:
        self.op = op
        self.node = node
        self.body = node.node.attributes["body"].as_graph()
        self.slices = node.integer("num_scan_inputs", 0)
        self.states = node.count - self.slices
        wanted = {*node.wanted, *(value for i, value in enumerate(node.node.inputs) if value and node.needs(i))}
        inner = differentiated_inputs(node.node, wanted)
        self.differentiated = [self.body.inputs.index(value) for value in inner]
        self.passed = [i for i in self.differentiated if i < self.states]

    def backward(self, dys: list[Var | None]) -> Cotangents:
        """Return the cotangents of the inputs, then of the captured values."""
        op, node = self.op, self.node
        read = [i for i, dy in enumerate(dys) if dy is not None and i >= self.states]
        before = self._states_before()
        starts = [self._final_cotangent(dys, i) for i in self.passed]
        starts += [self._zeros(op.var(value)) for value in node.wanted]
        given = [dy for i in read if (dy := dys[i]) is not None]
        given += [*before, *(node.raw(i) for i in range(self.states, node.count))]
        body = self._body(read)
        results = self._write(body, starts, [backwards(op, x) for x in given])
        ends = dict(zip(self.passed, results, strict=False))
        rows = [i for i in self.differentiated if i >= self.states]
        ends |= {i: backwards(op, x) for i, x in zip(rows, results[len(starts) :], strict=True)}
        around = dict(zip(node.wanted, results[len(self.passed) :], strict=False))
        cotangents = [ends.get(i) if node.needs(i) else None for i in range(node.count)]
        return [*cotangents, *(around.get(value) for value in node.captured)]

    def _states_before(self) -> list[Var]:
        """Make the forward node output the states before each of its steps."""
        loop, names = self.node.node, [self.op.unique("before") for _ in range(self.states)]
        inside = Builder(self.body, self.op.unique("body"))
        first = len(loop.outputs)
        loop.resize_outputs(first + self.states)
        for index, name in enumerate(names):
            state = self.body.inputs[index]
            self.body.outputs.append(inside.Identity(inside.var(state)).value)
            output = loop.outputs[first + index]
            output.name, output.type = name, state.type
            output.shape = None if state.shape is None else ir.Shape([None, *state.shape.dims])
        return [self.op.var(value) for value in loop.outputs[first:]]

    def _final_cotangent(self, dys: list[Var | None], index: int) -> Var:
        dy = dys[index]
        return self._zeros(self.node.raw(index)) if dy is None else dy

    def _zeros(self, x: Var) -> Var:
        op = self.op
        return op.Expand(op.const(0, cotangent_type(x.value)), shapes.shape_tensor(op, x))

    def _body(self, read: list[int]) -> ir.Graph:
        """Return the backward pass of one step.

        It reads the cotangents of the states and the sums of the captured values' so far, then the cotangents of its
        slices of the results ``read``, and the step's own states and slices. It returns the next cotangents and sums,
        and the cotangents of its slices.
        """
        node = self.node
        copy, inside = copied(self.op, self.body)
        own = list(copy.inputs)
        wrt = [*(own[i] for i in self.differentiated), *node.wanted]
        carried = [self._input(inside, own[i]) for i in self.passed]
        sums = [self._input(inside, value) for value in node.wanted]
        slices = {i: self._input(inside, copy.outputs[i]) for i in read}
        seeds: list[Var | None] = [None] * len(copy.outputs)
        for index, value in zip(self.passed, carried, strict=True):
            seeds[index] = inside.var(value)
        for index, value in slices.items():
            seeds[index] = inside.var(value)
        found = node.differentiate(inside, copy, seeds, wrt)
        copy.inputs.clear()
        copy.inputs.extend([*carried, *sums, *slices.values(), *own])
        copy.outputs.clear()
        parts = dict(zip(wrt, found, strict=True))
        results = [self._result(inside, parts[own[i]], own[i]) for i in self.passed]
        for value, total in zip(node.wanted, sums, strict=True):
            part, so_far = parts[value], inside.var(total)
            results.append(so_far if part is None else so_far + inside.cast(part, so_far.dtype))
        rows = [own[i] for i in self.differentiated if i >= self.states]
        results += [self._result(inside, parts[value], value) for value in rows]
        # A body may not output one of its inputs as it is.
        copy.outputs.extend(inside.Identity(result).value for result in results)
        return copy

    def _input(self, inside: Builder, like: ir.Value) -> ir.Value:
        shape = None if like.shape is None else like.shape.copy()
        return ir.Value(name=inside.unique("in"), type=ir.TensorType(cotangent_type(like)), shape=shape)

    def _result(self, inside: Builder, cotangent: Var | None, value: ir.Value) -> Var:
        dtype = cotangent_type(value)
        if cotangent is not None:
            return inside.cast(cotangent, dtype)
        return inside.Expand(inside.const(0, dtype), shapes.shape_tensor(inside, inside.var(value)))

    def _write(self, body: ir.Graph, starts: list[Var], slices: list[Var]) -> list[Var]:
        op = self.op
        outputs = [ir.Value(name=op.unique("Scan"), type=value.type) for value in body.outputs]
        for output, start in zip(outputs, starts, strict=False):
            output.shape = start.value.shape
        attributes = [ir.AttrGraph("body", body), ir.AttrInt64("num_scan_inputs", len(slices))]
        inputs = [var.value for var in (*starts, *slices)]
        op.graph.append(ir.Node("", "Scan", inputs, attributes, outputs=outputs, name=outputs[0].name))
        return [op.var(value) for value in outputs]
