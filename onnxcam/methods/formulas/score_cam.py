"""Score-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array, softmax
from onnxcam.methods.base import Method
from onnxcam.methods.support.channel_weights import varying, weighted_sum, work_units
from onnxcam.methods.support.masks import blank_score
from onnxcam.methods.view import NetworkView

_CHANNELS = 32  # in one unit of work


@dataclass(frozen=True)
class ScoreCAM(Method):
    """Feature maps weighted by the target's probability for the image masked with each of them.

    ``L = sum_k w_k A_k``, ``w_k = p(x * M_k)``, with ``M_k`` the map ``A_k`` at the image's size, scaled to minimum 0
    and maximum 1. The whole network runs once per channel. A constant channel gives no mask: it is not run, and its
    weight is 0.

    Source: Wang et al. 2020, algorithm 1, as in the authors' code: the softmax probability of the target, no baseline.

    Differences: the display map. The authors' code sums enlarged maps, then sets negative values to 0
    (``rectify=after``), then scales minimum and maximum to 0 and 1; here values become 0 before the map is enlarged, as
    for all methods, and the minimum is not subtracted, so that 0 keeps its meaning. Activations without negative values
    give the same map in both orders. pytorch-grad-cam and torch-cam take the ``logit`` and a ``softmax`` over channels
    that includes constant ones. The former aligns corners when it enlarges maps, the latter enlarges them after
    scaling.

    Attributes:
        score: weights are the ``probability`` of the target or its ``logit``.
        baseline: subtract the score of a blank image (zeros after preprocessing), as in the paper's definition 2.
        normalise: ``softmax`` over the channels that were run, or ``none``.
        rectify: set negative values of the display map to 0 ``before`` it is enlarged, or ``after`` as in the authors'
            code.
    """

    name: ClassVar[str] = "score-cam"
    paper: ClassVar[str] = "wang2020"
    score: Literal["probability", "logit"] = "probability"
    baseline: bool = False
    normalise: Literal["none", "softmax"] = "none"
    rectify: Literal["before", "after"] = "before"

    @property
    def enlarged_first(self) -> bool:
        """Whether the display map is enlarged before its negative values become 0, as the field ``rectify`` says."""
        return self.rectify == "after"

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed where activations or weights are."""
        return weighted_sum(self.weights(view), np.asarray(view.a))

    def weights(self, view: NetworkView) -> Array:
        """Return the weight of each channel, ``[N, K]``."""
        a = np.asarray(view.a)
        chosen = self.channels(view)
        w = np.zeros(a.shape[:2], a.dtype)
        work = work_units([np.flatnonzero(row) for row in chosen], _CHANNELS)
        for step in view.steps(len(work)):
            sample, channels = work[step]
            w[sample, channels] = self.confidence(view, sample, a[sample, channels])
        if self.baseline:
            blank = [blank_score(view, i, self.score == "probability") for i in range(len(a))]
            w = np.where(chosen, w - np.concatenate(blank)[:, None], 0)
        if self.normalise == "softmax":
            run = chosen.any(axis=1)  # where no channel was run all weights stay 0
            w[run] = softmax(np.where(chosen, w, -np.inf)[run])
        return w

    def channels(self, view: NetworkView) -> Array:
        """Return which channels are run, ``[N, K]``; the others weigh 0."""
        return varying(np.asarray(view.a))

    def confidence(self, view: NetworkView, sample: int, masks: Array) -> Array:
        """Return the score of one sample's image under each of some masks ``[M, *spatial]``, as ``[M]``."""
        return view.masked_image(sample, masks, probability=self.score == "probability")
