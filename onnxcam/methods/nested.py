"""Methods around a method: those that ask another one, and wrappers, which take any."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from onnxcam.errors import InputError
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.registry import method


class NestedMethod(Method):
    """A method that needs of the network what the method inside it needs, unless it says otherwise."""

    def __post_init__(self) -> None:
        """Build methods that are described by dictionaries, as a record describes them."""
        for field in fields(self):
            if isinstance(value := getattr(self, field.name), Mapping):
                object.__setattr__(self, field.name, _find(value))
        super().__post_init__()

    @property
    @abstractmethod
    def inner(self) -> Method:
        """The method inside."""

    @property
    def signed(self) -> bool:
        """Whether the raw map can be negative, as that of the method inside."""
        return self.inner.signed

    @property
    def needs(self) -> Needs:
        """What the method inside needs."""
        return self.inner.needs

    def describe(self) -> dict[str, Any]:
        """Return the name and all fields, that of a method being its own description."""
        found = super().describe()
        return {name: value.describe() if isinstance(value, Method) else value for name, value in found.items()}

    def refuse(self, wrong: bool, why: str) -> None:
        """Raise InputError if something is wrong with the method inside."""
        if wrong:
            raise InputError(f"{self.name} cannot take {self.inner.name}, which {why}")


class BasedMethod(NestedMethod):
    """A method that asks another one, its field ``base``: a name, or the method itself."""

    base: str | Method

    @property
    def inner(self) -> Method:
        """The base."""
        return _find(self.base)


@dataclass(frozen=True)
class Wrapper(NestedMethod):
    """A way of using any method; its fields after the first are its options.

    Attributes:
        method: what is wrapped.
    """

    kind: ClassVar[Literal["method", "wrapper"]] = "wrapper"
    method: Method

    def __post_init__(self) -> None:
        """Refuse anything but a method inside."""
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
