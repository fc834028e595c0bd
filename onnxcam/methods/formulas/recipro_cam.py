"""Recipro-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, spatial
from onnxcam.methods.base import Method
from onnxcam.methods.support.channel_weights import work_units
from onnxcam.methods.view import NetworkView

_POSITIONS = 256  # in one unit of work


@dataclass(frozen=True)
class ReciproCAM(Method):
    """Score of the network when a single position of the feature maps is kept, for each position.

    ``L = S(A m_xy)`` at position ``xy``, with ``m_xy`` 1 there and 0 elsewhere. In a transformer a position is a patch
    token; the extra tokens are always kept. Only the part of the network after the layer runs, once per position. Where
    the score is an affine function of the layer, ``S(A m) = S - sum (1 - m) sum_k g_k A_k`` exactly, and nothing runs:
    the gradient is used instead. Networks that cannot be differentiated are never asked for a gradient.

    Source: Byun & Lee 2024 for the point; their ViT-ReciproCAM (arXiv 2310.02588) for the Gaussian, which is cut off at
    the edge. The authors' code takes the softmax probability and scales the map to [0, 1]; here the score includes the
    constants of the head, so that a position that adds nothing has the score of a layer of zeros and not 0.

    Attributes:
        mask: keep one ``point``, or a ``gaussian`` of three positions along each axis (1/4, 1/2, 1/4).
        score: the ``logit`` of the target or its softmax ``probability``.
        closed_form: use the gradient where that is exact.
    """

    name: ClassVar[str] = "recipro-cam"
    paper: ClassVar[str] = "byun2024"
    mask: Literal["point", "gaussian"] = "point"
    score: Literal["logit", "probability"] = "logit"
    closed_form: bool = True

    @property
    def signed(self) -> bool:
        """Whether the map can be negative: logits can, probabilities cannot."""
        return self.score == "logit"

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, in units of the score."""
        a = np.asarray(view.a)
        windows = [self._window(length, a.dtype) for length in a.shape[2:]]
        if self.closed_form and view.affine and self.score == "logit":
            return _affine(view, a, windows)
        return self._runs(view, a, windows)

    def _window(self, length: int, dtype: Array) -> Array:
        """Return ``[length, length]``: row ``i`` is the mask along this axis for position ``i``."""
        if self.mask == "point":
            return np.eye(length, dtype=dtype)
        return (np.eye(length) / 2 + np.eye(length, k=1) / 4 + np.eye(length, k=-1) / 4).astype(dtype)

    def _runs(self, view: NetworkView, a: Array, windows: list[Array]) -> Array:
        size = a.shape[2:]
        scores = np.zeros((len(a), prod(size)), a.dtype)
        work = work_units([np.arange(prod(size))] * len(a), _POSITIONS)
        for step in view.steps(len(work)):
            sample, positions = work[step]
            keep = np.ones((len(positions), 1, *(1 for _ in size)), a.dtype)
            for axis, index in enumerate(np.unravel_index(positions, size)):
                row = windows[axis][index]
                keep = keep * np.expand_dims(row, tuple(at + 1 for at in range(len(size) + 1) if at != axis + 1))
            scores[sample, positions] = view.ablated(sample, keep, self.score == "probability")
        return np.reshape(scores, (len(a), *size))


def _affine(view: NetworkView, a: Array, windows: list[Array]) -> Array:
    """Return the score with one position kept: what does not come from the layer, plus the kept positions' terms."""
    shares = np.sum(view.g * a, axis=1)
    axes = tuple(range(1, shares.ndim))
    rest = np.expand_dims(view.score - np.sum(shares, axis=axes), tuple(range(1, a.ndim - 1)))
    for axis, window in zip(spatial(a), windows, strict=True):
        shares = np.moveaxis(np.moveaxis(shares, axis - 1, -1) @ window, -1, axis - 1)
    return rest + shares
