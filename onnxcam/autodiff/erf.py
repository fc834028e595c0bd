"""The error function in float64, which onnxruntime computes in float32 only, by a polynomial."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from onnxcam.autodiff.builder import Builder, Var

# Where exp(-x * x) is zero in float64, and a degree that leaves an error of 1e-12.
_END, _DEGREE = 26.0, 30


@cache
def _coefficients() -> npt.NDArray[np.float64]:
    """Powers of t = 2 / (2 + x), moved to [-1, 1], for ``erfc(x) exp(x * x)``, which is smooth and without end."""
    points = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    first = 2 / (2 + _END)
    ends = [2 / (first + (u + 1) / 2 * (1 - first)) - 2 for u in points.tolist()]
    values = np.array([math.erfc(x) * math.exp(x * x) for x in ends])
    chebyshev = np.polynomial.chebyshev
    return np.asarray(chebyshev.cheb2poly(chebyshev.chebfit(points, values, _DEGREE)), np.float64)


def erf(op: Builder, x: Var) -> Var:
    """Write the error function of x: 1 less ``exp(-x * x)`` times a polynomial, with an error of 1e-12."""
    size, first = op.Abs(x), 2 / (2 + _END)
    u = (2 / (size + 2) - first) * (2 / (1 - first)) - 1
    *lower, top = (float(c) for c in _coefficients())
    value = u * top
    for coefficient in reversed(lower[1:]):
        value = (value + coefficient) * u
    return op.Sign(x) * (1 - op.Exp(-(x * x)) * (value + lower[0]))
