"""Methods around a method: those that ask another one, and wrappers, which take any."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from onnxcam.errors import InputError
from onnxcam.methods.base import Contrast, Method


class NestedMethod(Method):
    """A method that needs of the network what the method inside it needs, unless it says otherwise."""

    def __post_init__(self) -> None:
        """Build what is described inside, and need what that needs."""
        for field in fields(self):
            if isinstance(value := getattr(self, field.name), Mapping):
                object.__setattr__(self, field.name, _find(value))
        super().__post_init__()
        for name in ("at", "head", "reads"):
            object.__setattr__(self, name, getattr(self.inner, name))

    @property
    @abstractmethod
    def inner(self) -> Method:
        """The method inside."""

    @property
    def signed(self) -> bool:
        """As the method inside."""
        return self.inner.signed

    @property
    def gradient(self) -> bool:
        """As the method inside."""
        return self.inner.gradient

    @property
    def walks_back(self) -> bool:
        """If it asks for gradients itself, or the method inside does."""
        return self.gradient or self.inner.walks_back

    @property
    def layers(self) -> tuple[str | int, ...]:
        """As the method inside."""
        return self.inner.layers

    @property
    def combines(self) -> bool:
        """As the method inside, unless the layers are its own."""
        return self.layers != self.inner.layers or self.inner.combines

    @property
    def contrast(self) -> Contrast | None:
        """As the method inside."""
        return self.inner.contrast

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
    from onnxcam.methods.registry import method  # which reads this module

    return method(**described) if isinstance(described, Mapping) else method(described)
