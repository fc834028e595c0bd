"""Base of methods that propagate from where they start to a chosen earlier layer, or to the input."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Literal

import numpy as np

from onnxcam.arrays import Array, Maps
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.view import NetworkView
from onnxcam.relevance.composite import Composite

INPUT = "input"


@dataclass(frozen=True)
class PropagatingMethod(Method):
    """A method that propagates relevance; its map can end at the input, or at any layer before the one where it starts.

    Attributes:
        to: where the map ends: ``input``, or a layer by name or by index.
    """

    to: str | int = field(default=INPUT, kw_only=True)

    @property
    def needs(self) -> Needs:
        """What the method needs: a rule for every operator from where relevance starts to where the map ends."""
        return Needs(propagates=True, ends_at=None if self.to == INPUT else self.to)

    @property
    def rules(self) -> Composite | None:
        """The composite whose rules are used, None if it is not the same for all samples."""
        return None

    @property
    def initial_relevance(self) -> Literal["score", "terms"] | None:
        """Which relevance propagation starts from, if the graph can compute it in the same run as the forward pass.

        ``score``: the explained number, at the score. ``terms``: Grad-CAM's terms, at the layer: its value times its
        mean gradient. None if only the method itself can compute it.
        """
        return None

    def arrival(self, view: NetworkView, raw: Maps) -> tuple[Array, Array] | None:
        """Return the totals that relevance starts as and that arrive in the maps, ``[N]`` each; None if not known."""
        return None

    @property
    def origin(self) -> str:
        """What relevance starts as, for a warning."""
        return "the score"

    @property
    def remedy(self) -> str:
        """What to do where little of that arrives, for a warning."""
        return "use gradient-x-input"

    @property
    def end(self) -> Literal["input"] | int:
        """Where the map ends, in the form that ``NetworkView.relevance`` takes: the input, or its first other layer."""
        return "input" if self.to == INPUT else 0


def total(array: Array) -> Array:
    """Return the sum of each sample's numbers, ``[N]``, in float64."""
    values = np.asarray(array, np.float64)
    return values.reshape(len(values), -1).sum(axis=1)


def inside(method: Method) -> dict[str, Method]:
    """Return the methods among the fields of a method, by field."""
    values = {entry.name: getattr(method, entry.name) for entry in fields(method)}
    return {name: value for name, value in values.items() if isinstance(value, Method)}


def propagating_method(method: Method) -> PropagatingMethod | None:
    """Return the method that propagates: this one, or the one inside; None if neither does."""
    if isinstance(method, PropagatingMethod):
        return method
    return next((found for one in inside(method).values() if (found := propagating_method(one)) is not None), None)


def with_end(method: Method, to: str) -> Method:
    """Return the method with its map, or that of the method inside, ending at another layer."""
    if isinstance(method, PropagatingMethod):
        return replace(method, to=to)
    return replace(method, **{name: with_end(one, to) for name, one in inside(method).items()})
