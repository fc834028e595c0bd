"""Check the gradients of one file here and now: by differences, against the CPU, and against torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.registry import Table
from onnxcam.diagnostics.bisection import bisect_by_differences, first_disagreement, relative
from onnxcam.diagnostics.finite_differences import FiniteDifferences
from onnxcam.engines.onnx_engine import Engine, EngineResult
from onnxcam.engines.torch_engine import TorchEngine
from onnxcam.errors import DependencyError, VerificationError
from onnxcam.network.network import Network, random_inputs
from onnxcam.runtime.providers import CPU, Provider

Tensor: TypeAlias = npt.NDArray[Any]
Verdict: TypeAlias = Literal["agrees", "differs", "skipped"]

# Of two engines in float32: rounding, and the few units whose sign it turns.
_TOLERANCES = {"scores": 1e-3, "activations": 1e-3, "gradients": 1e-2}
_HALF = 10
_SAMPLES = 2


@dataclass(frozen=True)
class Row:
    """One check.

    Attributes:
        at: the layer or the input.
        what: is compared, with what.
        error: relative; None where nothing could be compared.
        tolerance: what is allowed.
        verdict: of the two.
        note: how it was done, why not, or where two engines part.
    """

    at: str
    what: str
    error: float | None
    tolerance: float | None
    verdict: Verdict
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in terms of JSON, which knows no infinity."""
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
        layer: where gradients were checked beside the input, or None.
        score: what they are of.
        provider: what computed them.
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
        """Return everything in terms of JSON."""
        return {
            "format": "onnxcam-verification-1",
            "model": self.model,
            "layer": self.layer,
            "score": self.score,
            "provider": self.provider,
            "agrees": self.agrees,
            "checks": [row.to_dict() for row in self.rows],
        }


def verify(
    network: Network,
    layer: str | None,
    feeds: Mapping[str, Tensor] | None = None,
    *,
    providers: Sequence[Provider] | None = None,
    against: Literal["torch"] | None = None,
    threads: int | None = None,
    share_weights: bool = True,
    table: Table | None = None,
    seed: int = 0,
) -> Verification:
    """Check the gradients of the predicted class.

    Args:
        network: the model.
        layer: name of a value at which gradients are checked, beside the inputs.
        feeds: an array for each input; random numbers if not given.
        providers: as for ``Explainer``.
        against: a second engine.
        threads: of onnxruntime.
        share_weights: as for ``Explainer``.
        table: rules; ONNX's gradients if not given.
        seed: of random inputs and directions.

    Raises:
        OnnxcamError: the model does not run, cannot be differentiated, or not be converted for the second engine.
    """
    if feeds is None:
        feeds = random_inputs(network.inputs, network.batch or _SAMPLES, seed)
    asked = [layer, *(entry.value for entry in network.inputs if entry.batched)]
    places = [place for place in dict.fromkeys(asked) if place is not None]

    def engine(place: str, where: Sequence[Provider] | None) -> Engine:
        return Engine(network, place, True, where, threads, share_weights=share_weights, table=table)

    second = None if against is None else TorchEngine(network, network.score.name, True, threads=threads)
    if second is not None:
        # Before anything runs: whether the file can be converted at all.
        _ = second.session
    rows: list[Row] = [
        Row(f"input '{name}'", "gradient", None, None, "skipped", "all samples share it: no map is made of it")
        for name in sorted(network.shared)
    ]
    provider = ""
    for place in places:
        what = "layer" if place == layer else "input"
        first = engine(place, providers)
        try:
            found = first.run(feeds, None, None)
        except DependencyError as error:
            rows.append(Row(f"{what} '{place}'", "gradient", None, None, "skipped", str(error)))
            continue
        provider = first.provider
        check = _Place(network, f"{what} '{place}'", place, first, feeds, found, table, seed)
        rows += check.differences()
        if provider != CPU:
            other = engine(place, [CPU])
            rows += check.against(other.run(feeds, None, None), CPU, other)
        if second is not None:
            there = second.at(place)
            rows += check.against(there.run(feeds, None, None), "torch", there)
    return Verification(network.file.name, layer, network.score.name, provider, tuple(rows))


@dataclass(frozen=True)
class _Place:
    """The checks at one value."""

    network: Network
    at: str
    name: str
    engine: Engine
    feeds: Mapping[str, Tensor]
    found: EngineResult
    table: Table | None
    seed: int

    def differences(self) -> Iterator[Row]:
        """Compare with differences, at two samples at most, and the model as a whole with its part behind the value."""
        count = self.network.batch or _SAMPLES
        feeds = self.network.rows(self.feeds, slice(count))
        weights = self.found.chosen.weights(self.found.scores)[:count]

        def slopes(name: str) -> FiniteDifferences:
            return FiniteDifferences(self.network, name, weights, table=self.table, seed=self.seed, providers=[CPU])

        here = slopes(self.name)
        assert self.found.g is not None
        yield self._row(
            "gradient against that of the part behind", "gradients", here.gradient(feeds), self.found.g[:count]
        )
        if steps := here.steps_only:
            why = f"not differentiable by differences: integer arithmetic ({', '.join(steps[:4])})"
            yield Row(self.at, "gradient against differences", None, None, "skipped", why)
            return
        slope = here.check(feeds)
        note = f"{slope.precision}, step {slope.step:g}"
        if not slope.agrees:
            note = bisect_by_differences(self.network, self.name, lambda name: slopes(name).check(feeds).agrees)
        yield Row(self.at, "gradient against differences", slope.error, slope.tolerance, _verdict(slope.agrees), note)

    def against(self, other: EngineResult, name: str, engine: Engine | TorchEngine) -> Iterator[Row]:
        """Compare with what another engine finds."""
        mine = self.found
        assert mine.g is not None
        assert other.g is not None
        pairs = (
            ("scores", mine.scores, other.scores),
            ("activations", mine.a, other.a),
            ("gradients", mine.g, other.g),
        )
        weights = mine.chosen.weights(mine.scores)
        for kind, left, right in pairs:
            row = self._row(f"{kind} against {name}", kind, left, right)
            if row.verdict == "differs":
                place = first_disagreement(self.network, self.engine, engine, self.feeds, weights)
                row = replace(row, note=place)
            yield row

    def _row(self, what: str, kind: str, left: Tensor, right: Tensor) -> Row:
        half = any(entry.dtype.itemsize == 2 for entry in self.network.inputs)
        tolerance = _TOLERANCES[kind] * (_HALF if half else 1)
        error = relative(left, right)
        return Row(self.at, what, error, tolerance, _verdict(error <= tolerance))


def _verdict(agrees: bool) -> Verdict:
    return "agrees" if agrees else "differs"
