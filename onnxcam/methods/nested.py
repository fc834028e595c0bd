"""Methods that use another method: those with a base method, and wrappers, which take any method."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from onnxcam.arrays import Array
from onnxcam.errors import InputError
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.registry import method
from onnxcam.methods.view import NetworkView


class NestedMethod(Method):
    """A method that uses another one; what it needs of the network is what that one needs, unless it says otherwise."""

    def __post_init__(self) -> None:
        """Build methods that are given as dictionaries, as ``describe`` returns them."""
        for field in fields(self):
            if isinstance(value := getattr(self, field.name), Mapping):
                object.__setattr__(self, field.name, _find(value))
        super().__post_init__()

    @property
    @abstractmethod
    def inner(self) -> Method:
        """The method that this one uses."""

    @property
    def signed(self) -> bool:
        """Whether the raw map can be negative: if that of the method inside can."""
        return self.inner.signed

    @property
    def enlarged_first(self) -> bool:
        """Whether the display map is enlarged before its negative values become 0: if that of the method inside is."""
        return self.inner.enlarged_first

    @property
    def needs(self) -> Needs:
        """What the method needs of the network: what the method inside needs."""
        return self.inner.needs

    def judged(self, view: NetworkView) -> list[Array]:
        """Return those of the method inside."""
        return self.inner.judged(view)

    def describe(self) -> dict[str, Any]:
        """Return the name and all fields, methods among them as their own descriptions."""
        found = super().describe()
        return {name: value.describe() if isinstance(value, Method) else value for name, value in found.items()}

    def refuse(self, wrong: bool, why: str) -> None:
        """Raise InputError if the method inside does not suit; ``why`` completes "<this> cannot take <that>, which"."""
        if wrong:
            raise InputError(f"{self.name} cannot take {self.inner.name}, which {why}; choose another method inside")


class BasedMethod(NestedMethod):
    """A method that uses another one, given by its field ``base``: a name, or the method itself."""

    base: str | Method

    @property
    def inner(self) -> Method:
        """The base method."""
        return _find(self.base)


@dataclass(frozen=True)
class Wrapper(NestedMethod):
    """Base of wrappers, which use the maps of any method; fields after ``method`` are their options.

    Attributes:
        method: the method that is wrapped.
    """

    kind: ClassVar[Literal["method", "wrapper"]] = "wrapper"
    method: Method

    def __post_init__(self) -> None:
        """Refuse anything but a method as the field ``method``."""
        if not isinstance(self.method, (Method, Mapping)):
            raise InputError(f"{self.name} wraps a method, not {self.method!r}; onnxcam.method(name) makes one")
        super().__post_init__()

    @property
    def inner(self) -> Method:
        """The wrapped method."""
        return self.method


def _find(described: str | Method | Mapping[str, Any]) -> Method:
    """Return the method that a name or a description stands for."""
    return method(**described) if isinstance(described, Mapping) else method(described)
