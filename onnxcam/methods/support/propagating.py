"""Base of methods that propagate from where they start to a chosen earlier layer, or to the input."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Literal

from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.relevance.composite import Composite

INPUT = "input"


@dataclass(frozen=True)
class PropagatingMethod(Method):
    """A method that propagates relevance; its map can end at any layer between where it starts and the input.

    Attributes:
        to: where the map ends: ``input``, or a layer by name or by index.
    """

    to: str | int = field(default=INPUT, kw_only=True)

    @property
    def needs(self) -> Needs:
        """Rules for every operator from where it begins to where it ends."""
        return Needs(propagates=True, ends_at=None if self.to == INPUT else self.to)

    @property
    def rules(self) -> Composite | None:
        """The composite whose rules it propagates by, if that is one and the same for all samples."""
        return None

    @property
    def begins(self) -> Literal["score", "terms"] | None:
        """What it starts with, where a graph can compute that, so that one forward pass serves for everything.

        ``score``: the explained number at the score; ``terms``: at the layer, its value times its mean gradient.
        None where only the method can compute it.
        """
        return None

    @property
    def end(self) -> Literal["input"] | int:
        """Where the map ends, as ``NetworkView.relevance`` takes it."""
        return "input" if self.to == INPUT else 0


def inside(method: Method) -> dict[str, Method]:
    """Return the methods that a method's fields hold."""
    values = {entry.name: getattr(method, entry.name) for entry in fields(method)}
    return {name: value for name, value in values.items() if isinstance(value, Method)}


def propagating_method(method: Method) -> PropagatingMethod | None:
    """Return the method that propagates: this one, or the one inside; None if neither does."""
    if isinstance(method, PropagatingMethod):
        return method
    return next((found for one in inside(method).values() if (found := propagating_method(one)) is not None), None)


def with_end(method: Method, to: str) -> Method:
    """Return the method with another end, its own or that of the one inside."""
    if isinstance(method, PropagatingMethod):
        return replace(method, to=to)
    return replace(method, **{name: with_end(one, to) for name, one in inside(method).items()})
