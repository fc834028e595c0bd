"""Comparisons and logic: their results are true or false."""

from __future__ import annotations

from onnxcam.autodiff.registry import zero_gradient

zero_gradient(
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Not",
    "And",
    "Or",
    "Xor",
    "IsNaN",
    "IsInf",
    reason="its result is true or false",
)
