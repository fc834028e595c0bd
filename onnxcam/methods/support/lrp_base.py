"""Base of the LRP methods: relevance propagated by the rules of a composite, to the input or a layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from onnxcam.arrays import Array, Maps
from onnxcam.errors import UnsupportedError
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.propagating import PropagatingMethod, total
from onnxcam.methods.view import NetworkView
from onnxcam.relevance.composite import AUTO, Composite, default_composite


@dataclass(frozen=True)
class LRPMethod(PropagatingMethod):
    """A method that propagates relevance to the input, or to a layer before the score, by the rules of a composite.

    Attributes:
        contrasts: whether relevance starts with both signs.
        composite: the rule of each layer: a composite's name, a JSON file, the composite itself, or ``auto`` for the
            one that suits the network.
    """

    contrasts: ClassVar[bool] = False
    composite: str | Composite = AUTO

    def __post_init__(self) -> None:
        """Refuse what is not a composite; keep the content of a file, so that the file is not needed again."""
        super().__post_init__()
        given = self.composite
        if isinstance(given, Mapping) or (isinstance(given, str) and given.endswith(".json")):
            object.__setattr__(self, "composite", Composite.parse(given))
        elif given != AUTO:
            Composite.parse(given)

    @property
    def needs(self) -> Needs:
        """What the method needs: a rule for every operator from the score to where the map ends."""
        return replace(super().needs, at="input")

    @property
    def rules(self) -> Composite:
        """The composite, read if it is given by name or as a file; ``auto`` is that of networks without attention."""
        if self.composite == AUTO:
            return default_composite(attention=False, contrast=self.contrasts)
        return Composite.parse(self.composite)

    @property
    def remedy(self) -> str:
        """The composite that keeps more, if there is one."""
        better = "z-plus-spread" if self.rules.spread else default_composite(False, self.contrasts).name
        return "use gradient-x-input" if self.rules.name == better else f"use composite={better}"

    def propagated(self, view: NetworkView, start: Array | None = None) -> Array:
        """Return relevance where the map ends, summed over channels; it starts as the score, or as ``start``."""
        return np.asarray(view.relevance(self.rules, start, to=self.end).sum(axis=1))

    def describe(self) -> dict[str, Any]:
        """Return the name and all fields, a composite that has no name in full."""
        found = super().describe()
        own = found["composite"]
        return {**found, "composite": own.describe() if isinstance(own, Composite) else own}


@dataclass(frozen=True)
class ContrastiveLRP(LRPMethod):
    """A method whose relevance starts with both signs: at the target, and at the other classes against it."""

    contrasts: ClassVar[bool] = True
    origin: ClassVar[str] = "the target's relevance"

    @abstractmethod
    def start(self, view: NetworkView) -> Array:
        """Return the relevance of the scores, ``[N, classes]``, where it starts."""

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]`` where it ends, signed."""
        return self.propagated(view, self.start(view).reshape(view.scores.shape))

    def arrival(self, view: NetworkView, raw: Maps) -> tuple[Array, Array] | None:
        """Return the target's part and what arrives of it, which takes a run of its own.

        Both signs together start and arrive as nothing, or nearly so. Not looked at where the composite spreads.
        """
        if self.rules.spread:
            return None
        alone = self.start(view) * one_hot(view, self)[1]
        return total(alone), total(self.propagated(view, alone.reshape(view.scores.shape)))


def one_hot(view: NetworkView, method: Method) -> tuple[Array, Array]:
    """Return scores and one-hot weights ``[N, classes]`` of a target that is one class.

    Raises:
        UnsupportedError: the network does not return ``[N, classes]``, or the target is not one class.
    """
    scores, weights = (array.reshape(array.shape[0], -1) for array in (view.scores, view.weights))
    single = (weights == 0).sum(axis=1) == weights.shape[1] - 1
    if scores.shape[1] != view.scores.shape[1] or not single.all():
        raise UnsupportedError(
            f"{method.name} compares one class with all others, so the target must be one class and the scores of "
            "shape [N, classes]; choose such a target, or use lrp"
        )
    return scores, weights
