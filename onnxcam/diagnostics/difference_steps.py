"""The steps and tolerances of finite differences in each precision, and the result of one comparison with them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """How differences are taken in one type of numbers.

    Attributes:
        name: the type.
        steps: how far to go, in standard deviations of the value; the first one that agrees is enough, since a kink
            within a step or rounding makes a difference worse, never better.
        tolerance: the largest relative error that is allowed.
        aligned: take directions half along the gradient: in float32 the slope along a purely random direction drowns in
            rounding.
    """

    name: str
    steps: tuple[float, ...]
    tolerance: float
    aligned: bool


# The tolerance is for the gradient, which is computed in float32: there some activations fall on the other side of a
# kink. Errors were 1.1e-3 on a network of ReLU6 for segmentation, 4e-4 and less on all others that were tried.
DOUBLE = Precision("float64", (1e-7, 1e-6, 1e-5, 1e-4, 1e-3), 3e-3, aligned=False)
SINGLE = Precision("float32", (3e-2, 1e-1, 1e-2, 3e-3, 3e-1), 5e-2, aligned=True)


@dataclass(frozen=True)
class Comparison:
    """A gradient compared with finite differences.

    Attributes:
        error: of the slopes, relative; an estimate of the gradient's own relative error.
        tolerance: the largest error that is allowed.
        precision: type of the numbers that the differences were taken in.
        step: the step that agreed best, in standard deviations of the value.
    """

    error: float
    tolerance: float
    precision: str
    step: float

    @property
    def agrees(self) -> bool:
        """Whether the gradient is right, as far as differences can tell."""
        return self.error <= self.tolerance
