"""Check the gradients of one file on this machine: by finite differences, against the CPU, and against torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.attribution.plan import plan_for
from onnxcam.autodiff.registry import Table
from onnxcam.diagnostics.bisection import bisect_by_differences, first_disagreement, relative
from onnxcam.diagnostics.finite_differences import FiniteDifferences
from onnxcam.engines.onnx_engine import OnnxEngine
from onnxcam.engines.protocol import Engine
from onnxcam.engines.result import EngineResult
from onnxcam.engines.torch_engine import TorchEngine
from onnxcam.errors import DependencyError, UnsupportedError, VerificationError
from onnxcam.methods.registry import method as find_method
from onnxcam.network.network import Network
from onnxcam.network.random_inputs import random_inputs
from onnxcam.network.run_options import RunOptions
from onnxcam.network.sessions import SessionPool
from onnxcam.runtime.providers import CPU
from onnxcam.targets.batch import resolve_targets

Tensor: TypeAlias = npt.NDArray[Any]
Verdict: TypeAlias = Literal["agrees", "differs", "skipped"]

# Between two engines in float32: they round differently, which turns the sign of a few units.
_TOLERANCES = {"scores": 1e-3, "activations": 1e-3, "gradients": 1e-2}
_HALF = 10
_SAMPLES = 2


@dataclass(frozen=True)
class Row:
    """One check.

    Attributes:
        at: the layer or the input.
        what: what is compared with what.
        error: relative; None where nothing could be compared.
        tolerance: the largest error that is allowed.
        verdict: whether the two agree.
        note: how it was done, why not, or where two engines begin to disagree.
    """

    at: str
    what: str
    error: float | None
    tolerance: float | None
    verdict: Verdict
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON values; an infinite error is null."""
        error = self.error if self.error is None or np.isfinite(self.error) else None
        return {
            "at": self.at,
            "what": self.what,
            "error": error,
            "tolerance": self.tolerance,
            "verdict": self.verdict,
            "note": self.note,
        }


@dataclass(frozen=True)
class Verification:
    """All checks of one file.

    Attributes:
        model: name of the file.
        layer: the layer at which gradients were checked as well as at the inputs, or None.
        score: the score that they are gradients of.
        provider: the execution provider that computed them.
        rows: the checks.
    """

    model: str
    layer: str | None
    score: str
    provider: str
    rows: tuple[Row, ...]

    @property
    def agrees(self) -> bool:
        """Whether no check failed."""
        return all(row.verdict != "differs" for row in self.rows)

    def require(self) -> None:
        """Raise if a check failed.

        Raises:
            VerificationError: the first that did, and where.
        """
        for row in self.rows:
            if row.verdict == "differs":
                raise VerificationError(
                    f"{self.model}, {row.at}: {row.what}: error {row.error:.2g}, allowed {row.tolerance:.2g}; "
                    f"{row.note or 'the two do not compute the same'}; "
                    "do not trust explanations of this model here, and report it with the file"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {
            "format": "onnxcam-verification-1",
            "model": self.model,
            "layer": self.layer,
            "score": self.score,
            "provider": self.provider,
            "agrees": self.agrees,
            "checks": [row.to_dict() for row in self.rows],
        }


def default_layer(network: Network, layer: str | int | None) -> tuple[Network, str | None]:
    """Return the network and the value to check gradients at, quantised layers as the real numbers that they stand for.

    Args:
        network: the model.
        layer: as of ``Explainer``; None for the last one with spatial extent, and no value if there is none.

    Raises:
        NameNotFoundError: there is no such layer.
        UnsupportedError: the layer that was asked for has nothing to locate.
    """
    try:
        plan = plan_for(find_method("hires-cam"), network, layer)
    except UnsupportedError:
        if layer is not None:
            raise
        return network, None
    return plan.network, plan.layers[0].name


def verify(
    network: Network,
    layer: str | None,
    feeds: Mapping[str, Tensor] | None = None,
    *,
    options: RunOptions | None = None,
    against: Literal["torch"] | None = None,
    rules: Table | None = None,
    seed: int = 0,
) -> Verification:
    """Check the gradients of the predicted class.

    Args:
        network: the model.
        layer: name of a value at which gradients are checked as well as at the inputs.
        feeds: an array for each input; random numbers if not given.
        options: providers, threads and weight sharing of the gradients that are checked.
        against: a second engine.
        rules: of the backward pass; ONNX's gradients if not given.
        seed: of random inputs and directions.

    Raises:
        OnnxcamError: the model does not run, cannot be differentiated, or not be converted for the second engine.
    """
    if feeds is None:
        feeds = random_inputs(network.inputs, network.batch or _SAMPLES, seed)
    wanted = [layer, *(entry.value for entry in network.inputs if entry.batched)]
    names = [name for name in dict.fromkeys(wanted) if name is not None]
    options = options or RunOptions()
    engine = OnnxEngine(network, network.score.name, SessionPool(options), rules=rules)
    others: dict[str, Engine] = {
        CPU: OnnxEngine(network, network.score.name, SessionPool(replace(options, providers=[CPU])), rules=rules)
    }
    if against is not None:
        others[against] = TorchEngine(network, network.score.name, options)
        # Before anything runs: whether the file can be converted at all.
        _ = others[against].session
    rows: list[Row] = [
        Row(f"input '{name}'", "gradient", None, None, "skipped", "all samples share it: no map is made of it")
        for name in sorted(network.shared)
    ]
    provider = ""
    for name in names:
        where = f"{'layer' if name == layer else 'input'} '{name}'"
        try:
            found = _run(engine.at(name), feeds)
        except DependencyError as error:
            rows.append(Row(where, "gradient", None, None, "skipped", str(error)))
            continue
        provider = engine.at(name).provider
        check = _ValueCheck(network, where, name, engine.at(name), feeds, found, rules, seed)
        rows += check.differences()
        for label, other in others.items():
            if label != provider:
                rows += check.against(_run(other.at(name), feeds), label, other.at(name))
    return Verification(network.file.name, layer, network.score.name, provider, tuple(rows))


def _run(engine: Engine, feeds: Mapping[str, Tensor]) -> EngineResult:
    """Run an engine for the predicted class of each sample."""
    network = engine.network
    return engine.run(feeds, resolve_targets(None, network.count(feeds), network.score, None))


@dataclass(frozen=True)
class _ValueCheck:
    """The checks of the gradient at one value.

    Attributes:
        network: the model.
        at: the value as reports call it, such as ``layer 'a1'``.
        name: the name of the value.
        engine: the engine that is checked, which reads the value.
        feeds: an array for each input.
        found: what that engine computed from them.
        rules: of the backward pass; ONNX's gradients if None.
        seed: of random directions.
    """

    network: Network
    at: str
    name: str
    engine: Engine
    feeds: Mapping[str, Tensor]
    found: EngineResult
    rules: Table | None
    seed: int

    def differences(self) -> Iterator[Row]:
        """Compare with finite differences at two samples at most, and the model as a whole with its head alone."""
        count = self.network.batch or _SAMPLES
        feeds = self.network.rows(self.feeds, slice(count))
        weights = self.found.targets.weights(self.found.scores)[:count]

        def at(name: str) -> FiniteDifferences:
            return FiniteDifferences(self.network, name, weights, rules=self.rules, seed=self.seed, providers=[CPU])

        here = at(self.name)
        assert self.found.g is not None
        yield self._row(
            "gradient against that of the head alone", "gradients", here.gradient(feeds), self.found.g[:count]
        )
        if steps := here.integer_operators:
            why = f"the score is piecewise constant ({', '.join(steps[:4])}), so finite differences do not apply"
            yield Row(self.at, "gradient against differences", None, None, "skipped", why)
            return
        slope = here.check(feeds)
        note = f"{slope.precision}, step {slope.step:g}"
        if not slope.agrees:
            note = bisect_by_differences(self.network, self.name, lambda name: at(name).check(feeds).agrees)
        yield Row(self.at, "gradient against differences", slope.error, slope.tolerance, _verdict(slope.agrees), note)

    def against(self, other: EngineResult, name: str, engine: Engine) -> Iterator[Row]:
        """Compare scores, activations and gradients with those of another engine."""
        mine = self.found
        assert mine.g is not None
        assert other.g is not None
        pairs = (
            ("scores", mine.scores, other.scores),
            ("activations", mine.a, other.a),
            ("gradients", mine.g, other.g),
        )
        weights = mine.targets.weights(mine.scores)
        for kind, left, right in pairs:
            row = self._row(f"{kind} against {name}", kind, left, right)
            if row.verdict == "differs":
                row = replace(row, note=first_disagreement(self.engine, engine, self.feeds, weights))
            yield row

    def _row(self, what: str, kind: str, left: Tensor, right: Tensor) -> Row:
        half = any(entry.dtype.itemsize == 2 and entry.dtype.kind not in "iu" for entry in self.network.inputs)
        tolerance = _TOLERANCES[kind] * (_HALF if half else 1)
        error = relative(left, right)
        return Row(self.at, what, error, tolerance, _verdict(error <= tolerance))


def _verdict(agrees: bool) -> Verdict:
    return "agrees" if agrees else "differs"
