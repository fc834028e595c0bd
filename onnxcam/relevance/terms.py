"""Shares of relevance, as data: what stands for a layer's input and weights, and which shares one sum divides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Values: TypeAlias = Literal["x", "positive", "negative", "ones", "above", "below"]
# Factors of the positive and of the negative part, or what replaces the weights.
Weights: TypeAlias = tuple[float, float] | Literal["square", "ones"]
Outputs: TypeAlias = Literal["all", "positive", "negative"]

WHOLE, PLUS, MINUS = (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)
# Numbers and weights whose products, and whose biases, are never negative.
_RAISING = frozenset(
    {
        *(("positive", PLUS), ("negative", MINUS), ("above", PLUS), ("below", MINUS)),
        *(("ones", "square"), ("ones", "ones")),
    }
)


@dataclass(frozen=True)
class Term:
    """One part of the shares: ``w' x'``.

    Attributes:
        x: what stands for the layer's input; ``above`` and ``below`` are what it exceeds the rule's bounds by.
        w: what stands for its weights.
        bias: whether its bias, changed as its weights are, joins the sum that is divided by.
    """

    x: Values
    w: Weights
    bias: bool = False


@dataclass(frozen=True)
class Group:
    """Terms whose shares are divided by one sum.

    Attributes:
        terms: of the sum.
        factor: of what the group passes on.
        outputs: results of the layer whose relevance it passes on, by their sign.
        bounded: whether the input cannot leave the rule's bounds.
    """

    terms: tuple[Term, ...]
    factor: float = 1.0
    outputs: Outputs = "all"
    bounded: bool = True

    @property
    def nonnegative(self) -> bool:
        """Whether the sum cannot be negative: then its sign need not be looked at."""
        return self.bounded and all((term.x, term.w) in _RAISING for term in self.terms)
