"""ONNX's backend node tests, differentiated: every case with float inputs against central differences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.errors import DependencyError, OnnxcamError, UnsupportedError
from onnxcam.graph.passes.canonicalize import canonicalize
from tests.helpers.checks import OnnxRuntime, Reference, cotangent_like
from tests.helpers.sample import Array

Verdict: TypeAlias = Literal["passed", "failed", "constant", "no rule", "not run"]
_DETAILS = re.compile(
    r"no gradient rule for \d+ operator\(s\) between the layer and the score: |"
    r" '[^']*'| \(at [^)]*\)|; (?:choose|run|export|crop) .*"
)
_STEP = 1e-5
_RTOL = 1e-4
# Float32 and onnxruntime, where a case cannot be had in float64.
_STEP32 = 1e-2
_RTOL32 = 1e-2
_JITTER = 0.02
# Inputs that stay float32 in a model of float64, and are not differentiated.
# Functions of numbers between -1 and 1, which jitter must not leave.
_BOUNDED = {"Acos", "Asin", "Atanh"}
_FIXED = {("Resize", 1), ("Resize", 2), ("Dropout", 1), ("Upsample", 1), ("RoiAlign", 1)}
# The evaluator rounds what these give to float32.
_ROUNDED = {"AffineGrid", "CausalConvWithState", "LinearAttention"}
# Scales count as constants: their rules say so.
_FIXED |= {("QuantizeLinear", 1), ("DequantizeLinear", 1)}


@dataclass(frozen=True)
class Outcome:
    """What came of one case.

    Attributes:
        name: as ONNX calls the case.
        verdict: ``constant`` where no float output depends smoothly on a float input; ``no rule`` where one does and an
            operator has no rule, or its rule refuses; ``not run`` where no engine runs the case itself.
        operators: of the case's model.
        reason: why, unless it passed.
        engine: what the differences were taken with.
    """

    name: str
    verdict: Verdict
    operators: frozenset[str]
    reason: str = ""
    engine: str = ""


@dataclass
class Tally:
    """All outcomes, and the figures that the tool prints."""

    outcomes: list[Outcome] = field(default_factory=list)

    def having(self, verdict: Verdict) -> list[Outcome]:
        """Return the outcomes with one verdict."""
        return [outcome for outcome in self.outcomes if outcome.verdict == verdict]

    @property
    def covered(self) -> set[str]:
        """Operators of cases that passed."""
        return {op for outcome in self.having("passed") for op in outcome.operators}

    def reasons(self) -> dict[str, int]:
        """Return why cases were refused, with how many; names of nodes and advice left out."""
        plain = (_DETAILS.sub("", outcome.reason) for outcome in self.having("no rule"))
        return dict(Counter(plain).most_common())


class NotFiniteError(Exception):
    """A case has no slope to compare with."""


def cases() -> Iterator[tuple[str, onnx.ModelProto, list[Array]]]:
    """Yield name, model and the inputs of each case."""
    for case in load_model_tests(kind="node"):
        # Models for training are brought into inference mode first, which is another function.
        if case.model is not None and case.data_sets and "training" not in case.name:
            yield case.name, case.model, list(case.data_sets[0][0])


def check_all() -> Tally:
    """Check every case."""
    return Tally([check_case(*case) for case in cases()])


def check_case(name: str, model: onnx.ModelProto, arrays: list[Array]) -> Outcome:
    """Differentiate each float output with respect to all float inputs that have a gradient."""
    operators = frozenset(node.op_type for node in model.graph.node)
    feeds = {value.name: array for value, array in zip(model.graph.input, arrays, strict=False)}
    feeds = {n: np.asarray(a) for n, a in feeds.items() if isinstance(a, (np.ndarray, np.generic))}
    model, feeds = with_fixed_positions(model, feeds)
    fixed = {
        node.input[i] for node in model.graph.node for op, i in _FIXED if node.op_type == op and len(node.input) > i
    }
    floats = [n for n, a in feeds.items() if a.dtype in (np.float32, np.float64) and n not in fixed and a.size]
    outputs = [
        v.name for v in model.graph.output if v.type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.DOUBLE)
    ]
    pairs, refusals = differentiable(model, floats, outputs)
    if not pairs:
        return Outcome(name, "no rule" if refusals else "constant", operators, "; ".join(sorted(refusals)))
    rng = np.random.default_rng(len(name))
    inward = not _BOUNDED.isdisjoint(operators)
    for n in floats:
        jitter = _JITTER * rng.uniform(0.2, 1, feeds[n].shape)
        feeds[n] = (feeds[n] * (1 - jitter) if inward else feeds[n] + jitter).astype(feeds[n].dtype)
    problems = []
    for engine in ("float64", "float32"):
        try:
            for of, wrt in pairs.items():
                _compare(model, feeds, of, wrt, engine)
        except AssertionError as error:
            problems.append((True, f"{engine}: {error}"))
        except Exception as error:  # engines raise what they like where they do not run a case
            problems.append((False, f"{engine}: {type(error).__name__}: {error}"))
        else:
            return Outcome(name, "passed", operators, engine=engine)
    verdict: Verdict = "failed" if any(wrong for wrong, _ in problems) else "not run"
    return Outcome(name, verdict, operators, " | ".join(" ".join(text.split())[:300] for _, text in problems))


def with_fixed_positions(model: onnx.ModelProto, feeds: dict[str, Array]) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Return the case with axes, sizes and pads fixed in the file, as models have them."""
    whole = {n: a for n, a in feeds.items() if a.dtype in (np.int64, np.int32)}
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for value in [value for value in model.graph.input if value.name in whole]:
        model.graph.input.remove(value)
        model.graph.initializer.append(numpy_helper.from_array(whole[value.name], value.name))
    return model, {n: a for n, a in feeds.items() if n not in whole}


def differentiable(
    model: onnx.ModelProto, floats: list[str], outputs: list[str]
) -> tuple[dict[str, list[str]], set[str]]:
    """Return for each output the inputs that it can be differentiated by, and why others cannot."""
    pairs: dict[str, list[str]] = {}
    refusals: set[str] = set()
    if not floats or not outputs:
        return pairs, refusals
    try:
        canonical = canonicalize(ir.from_proto(model))
    except OnnxcamError as error:
        return pairs, {str(error)}
    for of in outputs:
        for name in floats:
            try:
                add_gradients(canonical, of, [name])
            except DependencyError:
                continue
            except UnsupportedError as error:
                refusals.add(str(error))
            except OnnxcamError:
                continue
            else:
                pairs.setdefault(of, []).append(name)
    return pairs, refusals


def _compare(model: onnx.ModelProto, feeds: dict[str, Array], of: str, wrt: list[str], engine: str) -> None:
    """Compare the slope along a random direction.

    Raises:
        AssertionError: they differ.
    """
    exact = engine == "float64"
    model = doubled(model) if exact else model
    if exact:
        kept = {value.name for value in model.graph.input if value.type.tensor_type.elem_type == TensorProto.FLOAT}
        feeds = {n: a.astype(np.float64) if a.dtype == np.float32 and n not in kept else a for n, a in feeds.items()}
    rounded = any(node.op_type in _ROUNDED for node in model.graph.node)
    step, rtol = (_STEP, _RTOL) if exact and not rounded else (_STEP32, _RTOL32)
    run = Reference(model) if exact else OnnxRuntime(model)
    y = run(feeds)[of]
    cotangent = cotangent_like(np.asarray(y))
    proto = ir.to_proto(add_gradients(canonicalize(ir.from_proto(model)), of, wrt))
    results = (Reference(proto) if exact else OnnxRuntime(proto))(feeds | {"cotangent": cotangent})
    rng = np.random.default_rng(3)
    directions = {n: rng.standard_normal(feeds[n].shape) for n in wrt}
    ends = []
    for sign in (1, -1):
        moved = {n: np.asarray(feeds[n] + sign * step * v, feeds[n].dtype) for n, v in directions.items()}
        ends.append(np.asarray(run(feeds | moved)[of], np.float64))
    slope = float(np.vdot(cotangent.astype(np.float64), (ends[0] - ends[1]) / (2 * step)))
    found = {n: results[gradient_name(n)].astype(np.float64) for n in wrt}
    total = sum(float(np.vdot(found[n], v)) for n, v in directions.items())
    size = sum(float(np.linalg.norm(found[n]) * np.linalg.norm(v)) for n, v in directions.items())
    assert all(found[n].shape == feeds[n].shape for n in wrt), f"{of}: shapes differ"
    if not np.isfinite(slope):
        raise NotFiniteError("the case itself is not finite")
    assert abs(total - slope) <= rtol * max(size, abs(slope), 1e-3), f"{of} by {wrt}: {total} against slope {slope}"


def doubled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with float64 in place of float32."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    fixed = {
        node.input[i] for node in model.graph.node for op, i in _FIXED if node.op_type == op and len(node.input) > i
    }
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT and value.name not in fixed:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for weight in model.graph.initializer:
        if weight.data_type == TensorProto.FLOAT and weight.name not in fixed:
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float64), weight.name))
    for node in _nodes(model.graph.node):
        for attribute in node.attribute:
            _double_attribute(node, attribute, fixed)
    return model


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes, and those of the bodies inside them, and make their values float64."""
    for node in nodes:
        yield node
        for body in (attribute.g for attribute in node.attribute if attribute.HasField("g")):
            for value in (*body.input, *body.output, *body.value_info):
                if value.type.tensor_type.elem_type == TensorProto.FLOAT:
                    value.type.tensor_type.elem_type = TensorProto.DOUBLE
            yield from _nodes(body.node)


def _double_attribute(node: onnx.NodeProto, attribute: onnx.AttributeProto, fixed: set[str]) -> None:
    if node.op_type in ("Cast", "CastLike") and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
        attribute.i = TensorProto.DOUBLE
    constant = node.op_type in ("Constant", "ConstantOfShape") and node.output[0] not in fixed
    if not constant:
        return
    if attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
        attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float64)))
    elif attribute.name == "value_float":
        attribute.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(np.array(attribute.f, np.float64))))
    elif attribute.name == "value_floats":
        attribute.CopyFrom(
            helper.make_attribute("value", numpy_helper.from_array(np.array(attribute.floats, np.float64)))
        )
