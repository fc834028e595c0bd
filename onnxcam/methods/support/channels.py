"""What methods share that weigh channels by running the network many times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxcam.arrays import Array, upsample
from onnxcam.errors import InputError
from onnxcam.methods.base import Method


def weighted_sum(w: Array, a: Array) -> Array:
    """Return ``sum_k w_k A_k`` of weights ``[N, K]`` and activations ``[N, K, *spatial]``."""
    return np.einsum("nk,nk...->n...", w, a)


def varying(a: Array) -> Array:
    """Return which channels ``[N, K]`` are not one value everywhere; as a mask a constant channel shows nothing."""
    places = np.reshape(a, (*a.shape[:2], -1))
    return places.max(axis=2) > places.min(axis=2)


def shown(masks: Array, size: Sequence[int]) -> Array:
    """Return masks ``[M, *spatial]`` at another size, each scaled to minimum 0 and maximum 1; a constant becomes 0."""
    wide = upsample(masks, size)
    axes = tuple(range(1, wide.ndim))
    low, high = (bound(wide, axis=axes, keepdims=True) for bound in (np.min, np.max))
    return (wide - low) / np.where(high > low, high - low, np.ones_like(low))


def parts(numbers: Sequence[Array], size: int) -> list[tuple[int, Array]]:
    """Return units of work: a sample, and at most ``size`` of the numbers that are to be run for it."""
    return [(i, found[at : at + size]) for i, found in enumerate(numbers) for at in range(0, len(found), size)]


def require_positive(method: Method, *names: str) -> None:
    """Raise InputError where a field of these names is not above 0."""
    for name in names:
        if (value := getattr(method, name)) <= 0:
            raise InputError(f"field {name} of {method.name} is {value!r}; it must be positive")
