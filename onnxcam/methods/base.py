"""Base classes of methods: a frozen dataclass of options and one formula of arrays.

A formula of activations and gradients is written against the Python array API (``xp = a.__array_namespace__()``), so
that the same function computes with NumPy and can be traced into a graph. ``a`` holds activations ``[N, K, *spatial]``,
``g`` the gradient ``dS/da`` of the explained score, of the same shape. A method that needs more asks a view
(``onnxcam/methods/view.py``). The result is the *raw* map: signed, ``[N, *spatial]``, not normalised.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from onnxcam.arrays import Array
from onnxcam.discovery import check_fields
from onnxcam.methods.needs import Needs
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class Method(ABC):
    """One way of turning activations and gradients into a map; its fields are its options.

    Attributes:
        name: what users type, unique among methods and wrappers.
        kind: ``method``, or ``wrapper`` for one that uses the maps of any method.
        paper: key in ``papers.bib`` for the definition that is followed.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    kind: ClassVar[Literal["method", "wrapper"]] = "method"

    def __post_init__(self) -> None:
        """Refuse a field of the wrong type here, where its name is known, rather than inside a formula."""
        check_fields(self, self.name)

    @property
    def signed(self) -> bool:
        """Whether the raw map can be negative; the display map of a signed one shows its positive part."""
        return True

    @property
    def enlarged_first(self) -> bool:
        """Whether the display map is enlarged before its negative values become 0; by default after."""
        return False

    @property
    def needs(self) -> Needs:
        """What the method needs of the network: by default the layer's activations alone."""
        return Needs()

    @abstractmethod
    def explain(self, view: NetworkView) -> Array:
        """Return the raw map ``[N, *spatial]`` of the samples of a view."""

    def judged(self, view: NetworkView) -> list[Array]:
        """Return the sums of signed terms that the map is made of, each ``[N, ...]``; where they cancel, it is noise.

        By default the map itself. A method says so where its map is not of the size of its sums (it scales them), where
        it takes much longer than they do, or where it looks at other images: of these one is enough, since a view that
        repeats answers repeats that of one. No sums, an empty list, where terms are never negative.
        """
        return [self.explain(view)]

    def describe(self) -> dict[str, Any]:
        """Return the name and all fields, enough to build the same method again."""
        return {"name": self.name, **{field.name: getattr(self, field.name) for field in fields(self)}}

    @classmethod
    def summary(cls) -> str:
        """Return the first line of the method's description."""
        return (cls.__doc__ or "").strip().splitlines()[0]


class ActivationMethod(Method):
    """A method that uses activations alone: its map is class-agnostic."""

    def explain(self, view: NetworkView) -> Array:
        """Return the formula's result for the layer's value."""
        return self(view.a)

    @abstractmethod
    def __call__(self, a: Array) -> Array:
        """Return the raw map ``[N, *spatial]`` of activations ``a`` ``[N, K, *spatial]``."""


class GradientMethod(Method):
    """A method that combines activations with the gradient of the explained score."""

    needs: ClassVar[Needs] = Needs(gradient=True)

    def explain(self, view: NetworkView) -> Array:
        """Return the formula's result for the layer's value and gradient."""
        return self(view.a, view.g)

    @abstractmethod
    def __call__(self, a: Array, g: Array) -> Array:
        """Return the raw map ``[N, *spatial]`` of activations ``a`` and gradient ``g``, both ``[N, K, *spatial]``."""


class WeightedMethod(GradientMethod):
    """A method whose map is a sum over channels, of terms that a wrapper may use one by one."""

    @abstractmethod
    def components(self, a: Array, g: Array) -> Array:
        """Return each channel's term of the map, ``[N, K, *spatial]``."""

    def __call__(self, a: Array, g: Array) -> Array:
        """Return the sum of the components over channels."""
        terms = self.components(a, g)
        return terms.__array_namespace__().sum(terms, axis=1)
