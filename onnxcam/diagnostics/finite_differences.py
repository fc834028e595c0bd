"""Check a gradient by finite differences: how the score changes along random directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.differentiate import add_gradients, gradient_name
from onnxcam.autodiff.float64 import rewrite_for_float64
from onnxcam.autodiff.paths import between, kinds
from onnxcam.autodiff.registry import Table
from onnxcam.autodiff.seed import COTANGENT
from onnxcam.diagnostics.difference_steps import DOUBLE, SINGLE, Comparison, Precision
from onnxcam.errors import ModelError
from onnxcam.graph.analysis.dtypes import FLOATS
from onnxcam.graph.analysis.values import find_value
from onnxcam.graph.passes.cut import Cut, cut
from onnxcam.graph.passes.expose import expose
from onnxcam.graph.passes.fix_inputs import FixInputs
from onnxcam.graph.passes.float64 import ToFloat64
from onnxcam.network.network import Network
from onnxcam.network.open_session import open_session
from onnxcam.runtime.providers import CPU, Provider
from onnxcam.runtime.session import Session

Tensor: TypeAlias = npt.NDArray[Any]

_DIRECTIONS = 4
# Moves the value off kinks: zeros after a ReLU tie in the next pool. In units of its standard deviation.
_JITTER = 1e-2
# How far float64 may be from the float32 model that it stands for.
_SAME_MODEL = {"float32": 1e-3, "float16": 5e-2}
# Largest error where the head computes in float16: its forward pass rounds, which a gradient does not contain.
_HALF_TOLERANCE = 1e-1
_HALF_BITS = 16


class FiniteDifferences:
    """Compares the gradient at one value with finite differences of the head after it."""

    def __init__(
        self,
        network: Network,
        value: str,
        cotangent: Tensor,
        *,
        providers: Sequence[Provider] | None = None,
        rules: Table | None = None,
        seed: int = 0,
    ) -> None:
        """Remember what to check; the model is cut when that is first needed.

        Args:
            network: the model.
            value: name of the value whose gradient is checked.
            cotangent: the weight of each score in the number that is differentiated, of the scores' shape.
            providers: of the gradient, best first; None for CUDA where it works, else the CPU.
            rules: of the backward pass; ONNX's gradients if not given.
            seed: of random directions.
        """
        self.network = network
        self.value = value
        self.score = network.score.name
        self.cotangent = cotangent
        self._providers = providers
        self._rules = rules
        self._seed = seed

    @cached_property
    def parts(self) -> Cut:
        """The model, cut at the value."""
        return cut(expose(self.network.model, [self.score]), [self.value])

    @property
    def integer_operators(self) -> list[str]:
        """Operators after the value that compute in integers: the score is then piecewise constant."""
        graph = self.network.model.graph
        nodes, on_path = between(graph, [find_value(graph, self.value)], find_value(graph, self.score))
        signals = [
            (node, [v for v in (*node.inputs, *node.outputs) if v is not None and v in on_path]) for node in nodes
        ]
        return list(kinds(node for node, values in signals if any(value.dtype not in FLOATS for value in values)))

    def check(self, feeds: Mapping[str, Tensor]) -> Comparison:
        """Compare the gradient with finite differences, for some inputs of the model.

        Raises:
            OnnxcamError: the model does not run, or cannot be differentiated.
        """
        rng = np.random.default_rng(self._seed)
        given = self._run_trunk(feeds)
        given[self.value] = _off_kinks(given[self.value], rng)
        gradient, score = self._gradient(given)
        half = given[self.value].dtype == np.float16 or self._has_float16
        double_head = _double_head(self.parts, given, self.network)
        if double_head is not None and self._same(double_head, given, score, half):
            return self._compare(double_head, given, gradient, DOUBLE, rng, half)
        return self._compare(self._open(self.parts.head), given, gradient, SINGLE, rng, half)

    def gradient(self, feeds: Mapping[str, Tensor]) -> Tensor:
        """Return the gradient at the value for some inputs of the model, computed by the head alone."""
        return self._gradient(self._run_trunk(feeds))[0]

    @property
    def _has_float16(self) -> bool:
        types = {value.dtype for node in self.parts.head.graph for value in node.outputs if value.dtype in FLOATS}
        return any(dtype is not None and dtype.bitwidth == _HALF_BITS for dtype in types)

    def _run_trunk(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the trunk and return what the head reads."""
        names = (*self.parts.at, *self.parts.others)
        made = {} if self.parts.trunk is None else self._open(self.parts.trunk).run(_needed(self.parts.trunk, feeds))
        return {name: made[name] if name in made else feeds[name] for name in names}

    def _gradient(self, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        model = add_gradients(self.parts.head, self.score, [self.value], table=self._rules)
        wanted = [gradient_name(self.value), self.score]
        found = self._open(expose(model, wanted)).run({**given, COTANGENT: self.cotangent})
        return found[wanted[0]].astype(np.float64), found[self.score]

    def _open(self, model: Any) -> Session:
        return open_session(model, self._providers, folder=self.network.folder)

    def _same(self, session: Session, given: Mapping[str, Tensor], score: Tensor, half: bool) -> bool:
        found = _scores(session, given, self.score)
        gap = float(np.linalg.norm(found - score.astype(np.float64)))
        return gap <= _SAME_MODEL["float16" if half else "float32"] * float(np.linalg.norm(found))

    def _compare(
        self,
        session: Session,
        given: Mapping[str, Tensor],
        gradient: Tensor,
        precision: Precision,
        rng: np.random.Generator,
        half: bool,
    ) -> Comparison:
        base = given[self.value].astype(np.float64)
        spread = float(base.std()) or 1.0
        directions = [_direction(gradient, precision.aligned, rng) for _ in range(_DIRECTIONS)]
        claimed = np.array([np.vdot(gradient, direction) for direction in directions])
        typical = [float(np.linalg.norm(gradient) * np.linalg.norm(d)) / np.sqrt(d.size) for d in directions]
        tolerance = max(precision.tolerance, _HALF_TOLERANCE if half else 0.0)
        comparisons: list[Comparison] = []
        for step in precision.steps:
            slopes = np.array([self._slope(session, given, base, d, step * spread) for d in directions])
            size = max(_rms(slopes), _rms(np.array(typical)))
            gap = _rms(claimed - slopes)
            error = (gap / size if size else 0.0) if np.isfinite(gap) else float("inf")
            comparisons.append(Comparison(error, tolerance, precision.name, step))
            if comparisons[-1].agrees:
                break
        return min(comparisons, key=lambda comparison: comparison.error)

    def _slope(
        self, session: Session, given: Mapping[str, Tensor], base: Tensor, direction: Tensor, step: float
    ) -> float:
        """Return the central difference of the weighted scores along a direction."""
        dtype = session.inputs[self.value].dtype
        up, down = ((base + sign * step * direction).astype(dtype) for sign in (1.0, -1.0))
        high, low = (
            float(np.vdot(self.cotangent, _scores(session, {**given, self.value: end}, self.score)))
            for end in (up, down)
        )
        # The distance between the ends as they are: float32 rounds them.
        distance = np.linalg.norm(np.subtract(up, down, dtype=np.float64)) / np.linalg.norm(direction)
        return float((high - low) / distance)


def _needed(model: Any, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = {value.name for value in model.graph.inputs}
    return {name: array for name, array in feeds.items() if name in names}


def _scores(session: Session, given: Mapping[str, Tensor], score: str) -> Tensor:
    feeds = {name: array.astype(session.inputs[name].dtype) for name, array in given.items() if name in session.inputs}
    return session.run(feeds)[score].astype(np.float64)


def _double_head(parts: Cut, given: Mapping[str, Tensor], network: Network) -> Session | None:
    """Return the head in float64, or None where onnxruntime has not all kernels for it."""
    try:
        model = rewrite_for_float64(ToFloat64()(FixInputs(given)(parts.head)).model)
        return open_session(model, [CPU], folder=network.folder)
    except ModelError:
        return None


def _off_kinks(array: Tensor, rng: np.random.Generator) -> Tensor:
    spread = float(array.astype(np.float64).std()) or 1.0
    return np.asarray(array + _JITTER * spread * rng.standard_normal(array.shape)).astype(array.dtype)


def _direction(gradient: Tensor, aligned: bool, rng: np.random.Generator) -> Tensor:
    direction = rng.standard_normal(gradient.shape)
    norm = float(np.linalg.norm(gradient))
    if not aligned or norm == 0:
        return direction
    along = gradient * rng.uniform(0, 2, gradient.shape)
    return direction + along * (np.linalg.norm(direction) / (np.linalg.norm(along) or 1.0))


def _rms(values: Tensor) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
