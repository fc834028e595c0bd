"""Recipro-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, spatial
from onnxcam.methods.base import Method
from onnxcam.methods.support.channels import parts
from onnxcam.methods.view import NetworkView

_PLACES = 256  # in one unit of work


@dataclass(frozen=True)
class ReciproCAM(Method):
    """The score when only one place of the feature maps is kept, place by place.

    ``L = S(A m_xy)`` at place ``xy``, with ``m_xy`` 1 there and 0 elsewhere. In a transformer a place is a token, and
    tokens that stand for no place are always kept. Only what follows the layer runs, once a place. Where the score is
    an affine function of the layer, ``S(A m) = S - sum (1 - m) sum_k g_k A_k`` exactly, and nothing runs at all: the
    view is then asked for the gradient, which networks that cannot be differentiated never are.

    Source: Byun & Lee 2024 for the point; their ViT-ReciproCAM (arXiv 2310.02588) for the Gaussian, which is cut off at
    the edge. The authors' code takes the softmax probability and scales the map to [0, 1]; the score here keeps the
    head's constants, so that a place which adds nothing has the score of a blank layer and not 0.

    Attributes:
        mask: keep the ``point`` alone, or a ``gaussian`` of three places along each axis (1/4, 1/2, 1/4).
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
        """Return ``[length, length]``: how much of each coordinate is kept around each."""
        if self.mask == "point":
            return np.eye(length, dtype=dtype)
        return (np.eye(length) / 2 + np.eye(length, k=1) / 4 + np.eye(length, k=-1) / 4).astype(dtype)

    def _runs(self, view: NetworkView, a: Array, windows: list[Array]) -> Array:
        size = a.shape[2:]
        scores = np.zeros((len(a), prod(size)), a.dtype)
        work = parts([np.arange(prod(size))] * len(a), _PLACES)
        for step in view.steps(len(work)):
            sample, places = work[step]
            keep = np.ones((len(places), 1, *(1 for _ in size)), a.dtype)
            for axis, index in enumerate(np.unravel_index(places, size)):
                row = windows[axis][index]
                keep = keep * np.expand_dims(row, tuple(at + 1 for at in range(len(size) + 1) if at != axis + 1))
            scores[sample, places] = view.ablated(sample, keep, self.score == "probability")
        return np.reshape(scores, (len(a), *size))


def _affine(view: NetworkView, a: Array, windows: list[Array]) -> Array:
    """Return what is left of the score: constants and what else it reads, and the kept share of each place."""
    shares = np.sum(view.g * a, axis=1)
    axes = tuple(range(1, shares.ndim))
    rest = np.expand_dims(view.score - np.sum(shares, axis=axes), tuple(range(1, a.ndim - 1)))
    for axis, window in zip(spatial(a), windows, strict=True):
        shares = np.moveaxis(np.moveaxis(shares, axis - 1, -1) @ window, -1, axis - 1)
    return rest + shares
