"""Slow relevance: the dense matrix of a linear operator, made column by column, and each rule's formula in loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from onnxcam.relevance.rules import LinearRule

Floats: TypeAlias = npt.NDArray[np.float64]
# A share w x of one input in one result, and what of it counts.
Share: TypeAlias = Callable[[float, float], float]


def matrix(function: Callable[[Floats], Floats], shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return the matrix ``[results, inputs]`` and the constant ``[results]`` of an affine function of one sample."""
    constant = function(np.zeros(shape)).reshape(-1)
    columns = []
    for i in range(int(np.prod(shape))):
        unit = np.zeros(shape)
        unit.reshape(-1)[i] = 1
        columns.append(function(unit).reshape(-1) - constant)
    return np.stack(columns, axis=1), constant


def relevance(rule: LinearRule, m: Floats, b: Floats, x: Floats, r: Floats, spread: bool = False) -> Floats:
    """Return the relevance ``[inputs]`` of one sample by a rule's formula.

    Spread, what no share receives is divided evenly among what a result reads, or among everything if it reads nothing;
    so is what a stabilizer receives, of sums that cannot be negative.
    """
    b = b if rule.bias else np.zeros_like(b)
    found = np.zeros(len(x))
    for j in range(len(r)):
        for factor, share, constant in _formulas(rule, x, float(m[j] @ x + b[j]), b[j]):
            z = [share(m[j, i], x[i]) if m[j, i] else 0.0 for i in range(len(x))]
            total = sum(z) + constant
            if rule.stabilizer:
                total += rule.stabilizer if total >= 0 else -rule.stabilizer
            for i in range(len(x)):
                found[i] += factor * z[i] / total * r[j] if total else 0
            signed = rule.name == "epsilon"
            left = rule.stabilizer / total if rule.stabilizer and not signed else float(not sum(z) + constant)
            if spread and left:
                reads = m[j] != 0 if m[j].any() else np.ones(len(x), np.bool_)
                found += factor * left * reads * r[j] / reads.sum()
    return found


def _formulas(rule: Any, x: Floats, y: float, b: float) -> list[tuple[float, Share, float]]:
    """Return factor, share and constant of each part of a rule's formula, for one result ``y``."""
    up, down = max(b, 0.0), min(b, 0.0)
    if rule.name == "epsilon":
        return [(1, lambda w, x: w * x, b)]
    if rule.name == "z-plus":
        return [(1, lambda w, x: max(w * x, 0), up)]
    if rule.name == "alpha-beta":
        parts: list[tuple[float, Share, float]] = [(rule.alpha, lambda w, x: max(w * x, 0), up)]
        return [*parts, (-rule.beta, lambda w, x: min(w * x, 0), down)]
    if rule.name == "gamma" and y > 0:
        return [(1, lambda w, x: w * x + rule.gamma * max(w * x, 0), b + rule.gamma * up)]
    if rule.name == "gamma" and y < 0:
        return [(1, lambda w, x: w * x + rule.gamma * min(w * x, 0), b + rule.gamma * down)]
    if rule.name == "box":
        low = x.min() if rule.low is None else rule.low
        high = x.max() if rule.high is None else rule.high
        return [(1, lambda w, x: w * x - low * max(w, 0) - high * min(w, 0), 0.0)]
    if rule.name == "w-square":
        return [(1, lambda w, x: w**2, b**2)]
    assert rule.name == "flat"
    return [(1, lambda w, x: 1.0, 0.0)]
