"""Score-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array
from onnxcam.methods.base import Method
from onnxcam.methods.support.channels import parts, varying, weighted_sum
from onnxcam.methods.view import NetworkView

_CHANNELS = 32  # in one unit of work


@dataclass(frozen=True)
class ScoreCAM(Method):
    """Feature maps weighted by the probability of the target when the image is seen through them.

    ``L = sum_k w_k A_k``, ``w_k = p(x * M_k)``, with ``M_k`` the map ``A_k`` at the image's size, scaled to minimum 0
    and maximum 1. The whole network runs once a channel. A constant channel shows nothing: it is not run, and weighs 0.

    Source: Wang et al. 2020, algorithm 1, as the authors' code has it: the softmax probability of the target, no
    baseline. pytorch-grad-cam and torch-cam take the ``logit`` and a ``softmax`` over channels, and let a constant
    channel have its share of that. The former enlarges maps corner to corner, the latter after it has scaled them.

    Attributes:
        score: the ``probability`` of the target or its ``logit``.
        baseline: subtract that of a blank image (zeros after preprocessing) from it, as in the paper's definition 2.
        normalise: ``softmax`` over the channels that were run, or ``none``.
    """

    name: ClassVar[str] = "score-cam"
    paper: ClassVar[str] = "wang2020"
    score: Literal["probability", "logit"] = "probability"
    baseline: bool = False
    normalise: Literal["none", "softmax"] = "none"

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed where activations or weights are."""
        return weighted_sum(self.weights(view), np.asarray(view.a))

    def weights(self, view: NetworkView) -> Array:
        """Return the weight of each channel, ``[N, K]``."""
        a = np.asarray(view.a)
        chosen = self.channels(view)
        w = np.zeros(a.shape[:2], a.dtype)
        work = parts([np.flatnonzero(row) for row in chosen], _CHANNELS)
        for step in view.steps(len(work)):
            sample, channels = work[step]
            w[sample, channels] = self.confidence(view, sample, a[sample, channels])
        if self.baseline:
            w = np.where(chosen, w - self._blank(view)[:, None], 0)
        if self.normalise == "softmax":
            w = _softmax(w, chosen)
        return w

    def channels(self, view: NetworkView) -> Array:
        """Return which channels are run, ``[N, K]``; the others weigh 0."""
        return varying(np.asarray(view.a))

    def confidence(self, view: NetworkView, sample: int, masks: Array) -> Array:
        """Return what the network makes of one sample's image seen through each of some channels."""
        return view.masked_image(sample, masks, probability=self.score == "probability")

    def _blank(self, view: NetworkView) -> Array:
        nothing = np.zeros((1, *view.x.shape[2:]), view.x.dtype)
        runs = [
            view.masked_image(i, nothing, rescale=False, probability=self.score == "probability")
            for i in range(len(view.x))
        ]
        return np.concatenate(runs)


def _softmax(w: Array, chosen: Array) -> Array:
    """Return softmax over the chosen channels of each sample, 0 for the others."""
    top = np.max(w, axis=1, keepdims=True, where=chosen, initial=-np.inf)
    powers = np.exp(np.where(chosen, w - top, -np.inf))
    return powers / np.maximum(powers.sum(axis=1, keepdims=True), np.finfo(powers.dtype).tiny)
