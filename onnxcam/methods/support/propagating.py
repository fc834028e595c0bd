"""What methods share that walk down from where they begin: a field that says where they stop."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Literal

from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.relevance.composite import Composite

INPUT = "input"


@dataclass(frozen=True)
class PropagatingMethod(Method):
    """A method whose map can end at any layer on its way down to the input.

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
        """The composite that it walks by, if it is always the same walk."""
        return None

    @property
    def begins(self) -> Literal["score", "terms"] | None:
        """What it begins with where a graph can work that out, so that one forward pass serves for everything.

        The explained number at the score; or at the layer its value times its mean gradient.
        """
        return None

    @property
    def end(self) -> Literal["input"] | int:
        """That place, as a view knows it."""
        return "input" if self.to == INPUT else 0


def inside(method: Method) -> dict[str, Method]:
    """Return the methods that a method's fields hold."""
    values = {entry.name: getattr(method, entry.name) for entry in fields(method)}
    return {name: value for name, value in values.items() if isinstance(value, Method)}


def ending(method: Method) -> PropagatingMethod | None:
    """Return the method that has an end to choose: this one, or the one inside."""
    if isinstance(method, PropagatingMethod):
        return method
    return next((found for one in inside(method).values() if (found := ending(one)) is not None), None)


def ended(method: Method, to: str) -> Method:
    """Return the method with another end, its own or that of the one inside."""
    if isinstance(method, PropagatingMethod):
        return replace(method, to=to)
    return replace(method, **{name: ended(one, to) for name, one in inside(method).items()})
