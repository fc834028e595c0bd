"""What a method is: a frozen set of fields and one formula of arrays.

A formula is written against the Python array API (``xp = a.__array_namespace__()``), so that the same function computes
with NumPy and can be traced into a graph. ``a`` holds activations ``[N, K, *spatial]``, ``g`` the gradient ``dS/da`` of
the explained score, of the same shape. The result is the *raw* map: signed, ``[N, *spatial]``, not normalised.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias

# An object of any array library that follows the Python array API; there is no nominal type for these.
Array: TypeAlias = Any


@dataclass(frozen=True)
class Method(ABC):
    """One way of turning activations and gradients into a map; its fields are its options.

    Attributes:
        name: what users type.
        paper: key in ``papers.bib`` of the definition that is followed.
        at: the value that is combined: a ``layer`` of the network or its ``input``.
        head: what must follow the layer: ``any`` network, or global average pooling and at most one linear layer
            (``gap-linear``).
        signed: whether the raw map can be negative; the display map of a signed one shows its positive part.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    at: ClassVar[Literal["layer", "input"]] = "layer"
    head: ClassVar[Literal["any", "gap-linear"]] = "any"
    signed: ClassVar[bool] = True

    def describe(self) -> dict[str, Any]:
        """Return the name and all fields, enough to build the same method again."""
        return {"name": self.name, **{field.name: getattr(self, field.name) for field in fields(self)}}

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the method's description."""
        return (cls.__doc__ or "").strip().splitlines()[0]


class ActivationMethod(Method):
    """A method that looks at activations alone: it explains no class in particular."""

    @abstractmethod
    def __call__(self, a: Array) -> Array:
        """Return the raw map ``[N, *spatial]`` of activations ``a`` ``[N, K, *spatial]``."""


class GradientMethod(Method):
    """A method that combines activations with the gradient of the explained score."""

    @abstractmethod
    def __call__(self, a: Array, g: Array) -> Array:
        """Return the raw map ``[N, *spatial]`` of activations ``a`` and gradient ``g``, both ``[N, K, *spatial]``."""


def spatial(a: Array) -> tuple[int, ...]:
    """Return the axes of ``a`` after batch and channels."""
    return tuple(range(2, a.ndim))
