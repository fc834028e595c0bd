"""The base class of metrics: a frozen dataclass whose fields are options, which measures maps sample by sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from onnxcam.arrays import Array
from onnxcam.discovery import check_fields
from onnxcam.metrics.view import ExplainedSamples


@dataclass(frozen=True)
class MetricNeeds:
    """What a metric needs besides the maps and images.

    Attributes:
        truth: where the explained object is: masks of its pixels.
        runs: the model runs on changed images.
    """

    truth: bool = False
    runs: bool = False


@dataclass(frozen=True, eq=False)
class Measured:
    """What a metric found.

    Attributes:
        values: one number a sample, ``[N]``; their mean over samples is what papers report.
        curves: by name, what the values were computed from, ``[N, steps]``, to plot; empty for most metrics.
    """

    values: Array
    curves: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric(ABC):
    """One way of measuring maps; its fields are its options.

    Attributes:
        name: what users type.
        paper: key in ``papers.bib`` of the definition that is followed.
        better: whether ``higher`` or ``lower`` values are better.
        bounds: least and greatest value; infinite where there is no bound.
        needs: what it needs besides maps and images.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    better: ClassVar[Literal["higher", "lower"]]
    bounds: ClassVar[tuple[float, float]]
    needs: ClassVar[MetricNeeds] = MetricNeeds()

    def __post_init__(self) -> None:
        """Refuse a field of the wrong type here, where its name is known."""
        check_fields(self, self.name)

    @abstractmethod
    def measure(self, view: ExplainedSamples) -> Measured:
        """Return one value for each sample."""

    def chance(self, view: ExplainedSamples) -> Array | None:
        """Return the expected value of a map of independent noise, ``[N]``; None where it has no closed form.

        Without one, the value of random-cam on the same samples takes its place.
        """
        return None

    def describe(self) -> dict[str, Any]:
        """Return the name and all fields, enough to build the same metric again."""
        return {"name": self.name, **{field.name: getattr(self, field.name) for field in fields(self)}}

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the metric's description."""
        return (cls.__doc__ or "").strip().splitlines()[0]
