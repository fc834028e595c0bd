"""Maps that are weighted sums of feature maps, and the work of finding one weight per channel by many runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxcam.arrays import Array


def weighted_sum(w: Array, a: Array) -> Array:
    """Return ``sum_k w_k A_k``, ``[N, *spatial]``, of weights ``[N, K]`` and activations ``[N, K, *spatial]`` (NumPy).

    Channels are added in order whatever the memory layout, which ``(w * a).sum(axis=1)`` does not promise.
    """
    return np.einsum("nk,nk...->n...", w, a)


def varying(a: Array) -> Array:
    """Return which channels ``[N, K]`` of ``[N, K, *spatial]`` are not constant; a constant one gives no mask."""
    values = np.reshape(a, (*a.shape[:2], -1))
    return values.max(axis=2) > values.min(axis=2)


def work_units(indices: Sequence[Array], size: int) -> list[tuple[int, Array]]:
    """Return units of work: a sample, and at most ``size`` of the indices that are to be run for it.

    Args:
        indices: for each sample what is to be run, for instance its channels.
        size: most indices in one unit, at least 1.
    """
    return [(i, found[at : at + size]) for i, found in enumerate(indices) for at in range(0, len(found), size)]
