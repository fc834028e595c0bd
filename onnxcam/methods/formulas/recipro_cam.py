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
_NUMBERS = 2**24  # in the values of one unit, where each position has its own: 64 MiB


@dataclass(frozen=True)
class ReciproCAM(Method):
    """Score of the network when a single position of the feature maps is kept, for each position.

    ``L = S(A m_xy)`` at position ``xy``, with ``m_xy`` 1 there and 0 elsewhere. In a transformer a position is a patch
    token; the extra tokens are always kept. Only the part of the network after the layer runs, once per position. Where
    the score is an affine function of the layer, ``S(A m) = S - sum (1 - m) sum_k g_k A_k`` exactly, and nothing runs:
    the gradient is used instead. Networks that cannot be differentiated are never asked for a gradient.

    Source: Byun & Lee 2024 for the point; their ViT-ReciproCAM (arXiv 2310.02588) for the Gaussian.

    Differences: the authors' code takes the softmax ``probability`` and scales the map to [0, 1]; here the score is the
    logit, and includes the constants of the head, so that a position that adds nothing has the score of a layer of
    zeros and not 0. The Gaussian is cut off at the edge, as in the authors' two codes. These use it in two ways: for
    transformers the tokens around a position are multiplied by it (``gaussian``), for convolutional networks the
    position's own features are repeated around it, multiplied by the Gaussian (``spread``). The code for transformers
    (openvinotoolkit/openvino_xai) also masks what the next normalisation made of all tokens, in place of normalising
    the masked ones; here one value is masked, and what follows runs as it is.

    Attributes:
        mask: keep one ``point``; a ``gaussian`` of three positions along each axis (1/4, 1/2, 1/4); or ``spread`` the
            position's features over these three positions with these factors.
        score: the ``logit`` of the target or its softmax ``probability``.
        closed_form: use the gradient where that is exact.
    """

    name: ClassVar[str] = "recipro-cam"
    paper: ClassVar[str] = "byun2024"
    mask: Literal["point", "gaussian", "spread"] = "point"
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
            return _affine(view, a, windows, self.mask == "spread")
        return self._runs(view, a, windows)

    def _window(self, length: int, dtype: Array) -> Array:
        """Return ``[length, length]``: row ``i`` is the mask along this axis for position ``i``."""
        if self.mask == "point":
            return np.eye(length, dtype=dtype)
        return (np.eye(length) / 2 + np.eye(length, k=1) / 4 + np.eye(length, k=-1) / 4).astype(dtype)

    def _runs(self, view: NetworkView, a: Array, windows: list[Array]) -> Array:
        size = a.shape[2:]
        scores = np.zeros((len(a), prod(size)), a.dtype)
        most = _POSITIONS if self.mask != "spread" else min(_POSITIONS, max(1, _NUMBERS // a[0].size))
        work = work_units([np.arange(prod(size))] * len(a), most)
        for step in view.steps(len(work)):
            sample, positions = work[step]
            keep = np.ones((len(positions), 1, *(1 for _ in size)), a.dtype)
            for axis, index in enumerate(np.unravel_index(positions, size)):
                row = windows[axis][index]
                keep = keep * np.expand_dims(row, tuple(at + 1 for at in range(len(size) + 1) if at != axis + 1))
            if self.mask == "spread":
                centres = np.reshape(a[sample], (len(a[sample]), -1))[:, positions].T
                values = np.reshape(centres, (*centres.shape, *(1 for _ in size))) * keep
                scores[sample, positions] = view.replaced(sample, values, self.score == "probability")
            else:
                scores[sample, positions] = view.ablated(sample, keep, self.score == "probability")
        return np.reshape(scores, (len(a), *size))


def _affine(view: NetworkView, a: Array, windows: list[Array], spread: bool) -> Array:
    """Return the score with one position kept: what does not come from the layer, plus the kept positions' terms."""
    g = np.asarray(view.g)
    terms = np.sum(g * a, axis=1)
    rest = np.expand_dims(view.score - np.sum(terms, axis=tuple(range(1, terms.ndim))), tuple(range(1, a.ndim - 1)))
    if spread:
        return rest + np.sum(_windowed(g, windows) * a, axis=1)
    return rest + _windowed(terms[:, None], windows)[:, 0]


def _windowed(x: Array, windows: list[Array]) -> Array:
    """Return ``[N, K, *spatial]`` summed around each position, with the factors of the windows, which are symmetric."""
    for axis, window in zip(spatial(x), windows, strict=True):
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ window, -1, axis)
    return x
