"""What one run of an engine returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy.typing as npt

from onnxcam.targets.batch import TargetBatch

Tensor: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class EngineResult:
    """Scores, values and gradients of a batch.

    Attributes:
        scores: the score tensor, float32, as the model shapes it.
        values: the values that the engine reads, by name, as the model shapes them.
        gradients: of the explained number with respect to each of them; empty where the engine computes none.
        targets: the explained target of each sample, resolved: classes are known.
        relevance_start: what relevance started with, if the engine propagates relevance in the same run.
        relevance: what arrived where relevance ends.
        intercepts: the terms in the score of groups of nodes, by name, if the engine reads such.
    """

    scores: Tensor
    values: dict[str, Tensor]
    gradients: dict[str, Tensor]
    targets: TargetBatch
    relevance_start: Tensor | None = None
    relevance: Tensor | None = None
    intercepts: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def a(self) -> Tensor:
        """The first value that the engine reads: the activations of the layer."""
        return next(iter(self.values.values()))

    @property
    def g(self) -> Tensor | None:
        """The gradient with respect to it, or None where the engine computes none."""
        return next(iter(self.gradients.values()), None)
