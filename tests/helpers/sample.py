"""One operator with its inputs and attributes, ready to become a model in any float type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from onnxcam.autodiff.registry import Rule, find_rule, gradient_table
from onnxcam.graph.passes.raise_opset import MINIMUM_OPSET

Array: TypeAlias = npt.NDArray[Any]
Role: TypeAlias = Literal["variable", "constant", "fed", "sized"]
# How much of the inputs' shapes the file says: all, all but the batch, symbols only, or nothing but ranks.
Sizes: TypeAlias = Literal["static", "batch", "symbolic", "unknown"]
Oracle: TypeAlias = Literal["reference", "linear", "float32"]
Attribute: TypeAlias = Any  # a number, a string or a list of integers


@dataclass(frozen=True)
class Arg:
    """One input. Float64 arrays take the float type of the model; others keep theirs."""

    array: Array
    role: Role = "variable"

    def typed(self, dtype: npt.DTypeLike) -> Array:
        """Return the numbers as a model of the given float type holds them."""
        return self.array.astype(dtype) if self.array.dtype == np.float64 else self.array


def var(array: npt.ArrayLike) -> Arg:
    """Return an input to differentiate with respect to."""
    return Arg(np.asarray(array, np.float64))


def const(array: npt.ArrayLike) -> Arg:
    """Return an input that the file fixes."""
    return Arg(np.asarray(array), "constant")


def fed(array: npt.ArrayLike) -> Arg:
    """Return an input that is only known while the graph runs, and is not differentiated."""
    return Arg(np.asarray(array), "fed")


def sized(array: npt.ArrayLike) -> Arg:
    """Return the same with a length that the file always says: a shape, starts, axes."""
    return Arg(np.asarray(array), "sized")


@dataclass(frozen=True, eq=False)
class Sample:
    """One node to check.

    Attributes:
        op: operator.
        args: its inputs, None where an optional one is left out.
        attributes: as in ONNX.
        opset: of the main domain.
        outputs: how many outputs the node has.
        uses: outputs that the score reads, flattened one after the other; None for the first output as it is.
        oracle: ``reference`` takes differences in float64 through onnx's reference evaluator. Where that is no use
            onnxruntime does in float32: ``linear`` with a wide step, exact for linear operators, ``float32`` else.
        static_only: the rule needs sizes that the file fixes, and raises an error where it does not.
        rtol: how far float32 may be from float64.
        captured: how many of the last arguments are no inputs of the node: only its branches read them.
        note: what is special, for the test's name.
        domain: of the operator, in version 1 of it.
    """

    op: str
    args: tuple[Arg | None, ...]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    opset: int = MINIMUM_OPSET
    outputs: int = 1
    uses: tuple[int, ...] | None = None
    oracle: Oracle = "reference"
    static_only: bool = False
    rtol: float = 1e-5
    captured: int = 0
    note: str = ""
    domain: str = ""

    @property
    def name(self) -> str:
        """Name in the test's report."""
        shapes = "_".join("x".join(map(str, arg.array.shape)) or "scalar" for arg in self.args if arg is not None)
        plain = {k: v for k, v in self.attributes.items() if not isinstance(v, onnx.GraphProto)}
        shown = ",".join(f"{k}={v}".replace(" ", "") for k, v in plain.items())
        return "-".join(filter(None, (f"{self.op}{self.opset}", shapes, shown, self.note)))

    @property
    def variables(self) -> dict[str, Array]:
        """Names and values of the inputs to differentiate with respect to."""
        return {f"x{i}": a.array for i, a in enumerate(self.args) if a is not None and a.role == "variable"}

    @property
    def score(self) -> str:
        """Name of the value that is differentiated."""
        return "y0" if self.uses is None else "score"

    @property
    def rule(self) -> Rule:
        """The rule that this sample checks."""
        version = 1 if self.domain else max(self.opset, MINIMUM_OPSET)
        rule = find_rule(gradient_table(), self.domain, self.op, version)
        assert rule is not None, f"{self.op} has no rule"
        return rule

    def feeds(self, dtype: npt.DTypeLike) -> dict[str, Array]:
        """Return what the model is fed with."""
        given = {f"x{i}": a for i, a in enumerate(self.args) if a is not None and a.role != "constant"}
        return {name: arg.typed(dtype) for name, arg in given.items()}

    def model(self, dtype: npt.DTypeLike, sizes: Sizes = "static") -> onnx.ModelProto:
        """Return the model in one float type."""
        inputs, weights = [], []
        for index, arg in enumerate(self.args):
            if arg is None:
                continue
            array, name = arg.typed(dtype), f"x{index}"
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            if arg.role == "constant":
                weights.append(onnx.numpy_helper.from_array(array, name))
            else:
                inputs.append(
                    helper.make_tensor_value_info(
                        name, kind, declared(array.shape, "static" if arg.role == "sized" else sizes)
                    )
                )
        given = self.args[: len(self.args) - self.captured]
        names = ["" if arg is None else f"x{i}" for i, arg in enumerate(given)]
        outputs = [f"y{i}" for i in range(self.outputs)]
        nodes = [helper.make_node(self.op, names, outputs, name="node", domain=self.domain, **self.attributes)]
        if self.uses is not None:
            nodes += [helper.make_node("Flatten", [f"y{i}"], [f"flat{i}"], axis=0) for i in self.uses]
            nodes.append(helper.make_node("Concat", [f"flat{i}" for i in self.uses], ["score"], axis=1))
        graph = helper.make_graph(nodes, "sample", inputs, [onnx.ValueInfoProto(name=self.score)], weights)
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(self.domain, 1)] if self.domain else []
        return helper.make_model(graph, opset_imports=opsets, ir_version=10 if self.opset < 23 else 11)


def declared(shape: tuple[int, ...], sizes: Sizes) -> list[int | str | None]:
    """Return a shape as the file declares it; equal sizes share a symbol."""
    if sizes == "static" or (sizes == "batch" and not shape):
        return list(shape)
    if sizes == "batch":
        return [f"N{shape[0]}", *shape[1:]]
    return [f"d{size}" if sizes == "symbolic" else None for size in shape]


Generator: TypeAlias = Callable[[np.random.Generator], Sample]
# The one table that drives the tests, by family: the module that the samples are written in.
GENERATED: dict[str, list[Sample]] = {}


def samples(count: int) -> Callable[[Generator], Generator]:
    """Draw ``count`` samples for the family of the module that the function stands in, each with its own seed."""

    def register(function: Generator) -> Generator:
        for number in range(count):
            # A name's letters rather than its hash, which changes from run to run.
            seed = [number, *map(ord, function.__name__)]
            listed(function.__module__, function(np.random.default_rng(seed)))
        return function

    return register


def listed(module: str, *given: Sample) -> None:
    """Add samples that are written out to the family of a module."""
    GENERATED.setdefault(module.rpartition(".")[2], []).extend(given)


def smooth(rng: np.random.Generator, *shape: int) -> Array:
    """Return numbers of either sign, away from 0."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.2, 1.5, shape)


def positive(rng: np.random.Generator, *shape: int) -> Array:
    """Return numbers between 0.3 and 2."""
    return rng.uniform(0.3, 2, shape)


def distinct(rng: np.random.Generator, *shape: int) -> Array:
    """Return numbers of either sign, each at least 0.05 from every other and from 0."""
    count = int(np.prod(shape))
    return (rng.permutation(count).reshape(shape) - count // 2 + 0.5) * 0.1 + rng.uniform(-0.02, 0.02, shape)


def pick(rng: np.random.Generator, *choices: str) -> str:
    """Return one of several strings."""
    return str(rng.choice(choices))


def coin(rng: np.random.Generator) -> int:
    """Return 0 or 1."""
    return int(rng.integers(2))
