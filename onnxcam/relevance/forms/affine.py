"""Values as ``a x + b mean(x) + c``, where a and b count as fixed: what a normalisation is, however it is written.

A normalisation is ``D (x - mean(x)) scale + shift`` with a deviation ``1 / D`` of its own. Files write it in many
orders, such as ``x (D scale) + (shift - mean(x) D scale)``. Here products of constants and of a value's own statistics
count as one fixed factor, and sums are collected, so that all orders have the same form, with ``b = -a``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from onnxcam.graph.operators import Trait, operators_with
from onnxcam.relevance.origins import LINEAR, Origins

_COPIES = operators_with(Trait.COPIES | Trait.CONVERTS)
# What only adds or drops axes of size 1 where a mean is read.
_AXES = {"Reshape", "Unsqueeze", "Squeeze"}
# Statistics are written in few operators.
_STEPS = 32


@dataclass(frozen=True)
class Product:
    """A number times values, each to the power 1 or -1.

    Attributes:
        number: what all numbers among the factors make together.
        factors: how often each other value is multiplied; negative where it divides.
    """

    number: float = 1.0
    factors: Mapping[ir.Value, int] = field(default_factory=dict)

    def times(self, other: Product, power: int = 1) -> Product:
        """Multiply by another product, or divide by it with the power -1."""
        factors = dict(self.factors)
        for value, count in other.factors.items():
            factors[value] = factors.get(value, 0) + power * count
        number = self.number * other.number if power > 0 else self.number / other.number
        return Product(number, {value: count for value, count in factors.items() if count})

    def negated(self) -> Product:
        """Return it with the other sign."""
        return Product(-self.number, self.factors)

    def is_opposite_of(self, other: Product) -> bool:
        """Whether the two add up to 0."""
        return self.factors == other.factors and abs(self.number + other.number) <= 1e-6 * abs(self.number)


@dataclass(frozen=True)
class Form:
    """``a x + b mean + c``; None is 0."""

    a: Product | None = None
    b: Product | None = None
    c: Product | None = None

    @property
    def is_centred(self) -> bool:
        """Whether it is a multiple of ``x - mean``, plus ``c``."""
        return self.a is not None and self.b is not None and self.a.is_opposite_of(self.b)

    def scaled(self, factor: Product, power: int = 1) -> Form:
        """Multiply all terms."""
        parts = (None if part is None else part.times(factor, power) for part in (self.a, self.b, self.c))
        return Form(*parts)

    def plus(self, other: Form) -> Form | None:
        """Add another form; None where two terms of one kind meet, which is no normalisation."""
        pairs = list(zip((self.a, self.b, self.c), (other.a, other.b, other.c), strict=True))
        if any(one is not None and two is not None for one, two in pairs):
            return None
        return Form(*(one if two is None else two for one, two in pairs))


class Forms:
    """Forms of the values that are computed from one value and its mean."""

    def __init__(self, x: ir.Value, axes: frozenset[int], origins: Origins) -> None:
        """Remember the value ``x`` and the axes, from 0 on, that its mean is taken over."""
        self.x, self.axes, self.origins = x, axes, origins
        self.forms: dict[ir.Value, Form] = {x: Form(a=Product())}

    def read(self, node: ir.Node) -> Form | None:
        """Return the form of a node's result, which is remembered; None where it has none."""
        form = self._form(node) if not node.domain else None
        if form is not None:
            self.forms[node.outputs[0]] = form
        return form

    def of(self, value: ir.Value | None) -> Form | None:
        """Return the form of a value that has been read, of the mean, or of a constant."""
        if value is None:
            return None
        if value in self.forms:
            return self.forms[value]
        if mean_of(value) == (self.x, self.axes) and self.is_statistic(value):
            return Form(b=Product())
        if not self.origins.varies(value):
            return Form(c=_constant(value))
        return None

    def _form(self, node: ir.Node) -> Form | None:
        inputs = list(node.inputs)
        match node.op_type:
            case "Neg":
                form = self.of(inputs[0])
                return None if form is None else form.scaled(Product(-1.0))
            case "Add" | "Sub" | "Sum":
                forms = [self.of(value) for value in inputs]
                total: Form | None = forms[0]
                for form in forms[1:]:
                    if total is None or form is None:
                        return None
                    total = total.plus(form.scaled(Product(-1.0)) if node.op_type == "Sub" else form)
                return total
            case "Mul":
                return self._scaled(inputs[0], inputs[1]) or self._scaled(inputs[1], inputs[0])
            case "Div":
                return self._scaled(inputs[0], inputs[1], -1)
        return self.of(inputs[0]) if node.op_type in _COPIES else None

    def _scaled(self, value: ir.Value | None, other: ir.Value | None, power: int = 1) -> Form | None:
        form, factor = self.of(value), self.fixed(other)
        if form is None or factor is None or (form.a is None and form.b is None):
            return None  # A constant times a statistic is a factor, and no shift.
        return None if form.c is not None and self._varies(factor) else form.scaled(factor, power)

    def _varies(self, factor: Product) -> bool:
        return any(self.origins.varies(value) for value in factor.factors)

    def fixed(self, value: ir.Value | None, depth: int = 0) -> Product | None:
        """Return a value as a product of constants and of statistics of ``x``, or None where it is none."""
        if value is None or depth > _STEPS:
            return None
        if not self.origins.varies(value):
            return _constant(value)
        node = value.producer()
        if node is not None and not node.domain:
            if node.op_type in _COPIES:
                return self.fixed(node.inputs[0], depth + 1)
            if node.op_type in ("Mul", "Div"):
                one, two = (self.fixed(entry, depth + 1) for entry in node.inputs)
                if one is not None and two is not None:
                    return one.times(two, 1 if node.op_type == "Mul" else -1)
            if node.op_type == "Reciprocal":
                one = self.fixed(node.inputs[0], depth + 1)
                return None if one is None else Product().times(one, -1)
        return Product(1.0, {value: 1}) if self.is_statistic(value) else None

    def is_statistic(self, value: ir.Value) -> bool:
        """Whether a value has one number for all positions along the axes, computed from ``x`` alone."""
        return is_statistic(value, self.x, self.axes, self.origins)


def mean_of(value: ir.Value) -> tuple[ir.Value, frozenset[int]] | None:
    """Return what a value is the mean of, and over which axes, counted from 0; None where it is no mean."""
    number = 1.0
    for _ in range(_STEPS):
        node = value.producer()
        if node is None or node.domain:
            return None
        source = node.inputs[0] if node.inputs else None
        if source is None or source.shape is None:
            return None
        match node.op_type:
            case "ReduceMean" | "GlobalAveragePool" | "ReduceSum":
                axes = reduced_axes(node, len(source.shape))
                wanted = _count(source, axes) if node.op_type == "ReduceSum" and axes else 1.0
                right = axes is not None and wanted is not None and abs(number * wanted - 1) < 1e-6
                return (source, axes) if right and axes is not None else None
            case "Mul" | "Div":
                numbers = [_number(entry) for entry in node.inputs]
                factor = numbers[1] if numbers[1] is not None or node.op_type == "Div" else numbers[0]
                entry = node.inputs[0] if factor is numbers[1] else node.inputs[1]
                if not factor or entry is None:
                    return None
                number, value = number * factor if node.op_type == "Mul" else number / factor, entry
            case kind if kind in _COPIES | _AXES:
                value = source
            case _:
                return None
    return None


def is_statistic(value: ir.Value, x: ir.Value, axes: frozenset[int], origins: Origins) -> bool:
    """Whether a value has one number for all positions along some axes of ``x``, computed from that alone."""
    if value.shape is None or x.shape is None or len(value.shape) != len(x.shape):
        return False
    return all(value.shape[axis] == 1 for axis in axes) and _is_made_of(value, x, origins)


def _is_made_of(value: ir.Value, x: ir.Value, origins: Origins) -> bool:
    """Whether all that varies in a value comes from ``x``, in a few steps and through no layer with weights."""
    waiting, seen = [value], {value}
    while waiting:
        entry = waiting.pop()
        if entry is x:
            continue
        node = entry.producer()
        if node is None or node.op_type in LINEAR or len(seen) > _STEPS:
            return False
        new = [before for before in node.inputs if before is not None and before not in seen and origins.varies(before)]
        seen.update(new)
        waiting += new
    return value is not x


def reduced_axes(node: ir.Node, rank: int) -> frozenset[int] | None:
    """Return the axes that a mean or sum is taken over, where they are known."""
    if node.op_type == "GlobalAveragePool":
        return frozenset(range(2, rank))
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if given is None:
        return None if node.attributes.get_int("noop_with_empty_axes", 0) else frozenset(range(rank))
    return None if given.const_value is None else frozenset(int(axis) % rank for axis in given.const_value.numpy())


def _count(value: ir.Value, axes: frozenset[int]) -> int | None:
    """Return how many numbers lie along some axes, where that is known."""
    sizes = [] if value.shape is None else [value.shape[axis] for axis in axes]
    known = [size for size in sizes if isinstance(size, int)]
    return int(np.prod(known)) if known and len(known) == len(sizes) else None


def _number(value: ir.Value | None) -> float | None:
    """Return the one number that a constant of the file has."""
    tensor = None if value is None else value.const_value
    return float(tensor.numpy().reshape(())) if tensor is not None and tensor.size == 1 else None


def _constant(value: ir.Value) -> Product:
    number = _number(value)
    return Product(1.0, {value: 1}) if number is None else Product(number)
