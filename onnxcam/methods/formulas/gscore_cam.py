"""gScoreCAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxcam.arrays import Array, spatial
from onnxcam.methods.formulas.score_cam import ScoreCAM
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.field_checks import check_counts
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class GScoreCAM(ScoreCAM):
    """Score-CAM restricted to the channels with the largest mean gradient.

    ``L = sum_k w_k A_k`` over the ``count`` channels of the largest ``mean_xy g_k``, with ``w_k`` as in Score-CAM. Of
    channels with equal mean gradients the first ones are taken.

    Source: Chen et al. 2022.

    Differences: the authors' code takes logits and a softmax over channels, in which the channels left out take part
    with the logit 0; here their weight is 0. It aligns corners when it enlarges maps, and adds 1e-6 to the range of
    each.

    Attributes:
        score: weights are the ``probability`` of the target or its ``logit``.
        baseline: subtract the score of a blank image.
        normalise: ``softmax`` over the channels that were run, or ``none``.
        rectify: the display map ``before`` or ``after`` it is enlarged, as in Score-CAM.
        count: number of channels; the authors' 300 are a tenth of those of the CLIP network they explain.
    """

    name: ClassVar[str] = "gscore-cam"
    paper: ClassVar[str] = "chen2022"
    needs: ClassVar[Needs] = Needs(gradient=True)
    count: int = 300

    def __post_init__(self) -> None:
        """Refuse fewer than one channel."""
        super().__post_init__()
        check_counts(self, "count")

    def channels(self, view: NetworkView) -> Array:
        """Return which channels are run, ``[N, K]``: those of the largest mean gradient, without constant ones."""
        g = np.asarray(view.g)
        order = np.argsort(-np.mean(g, axis=spatial(g)), axis=1, kind="stable")
        largest = np.zeros(g.shape[:2], bool)
        np.put_along_axis(largest, order[:, : self.count], True, axis=1)
        return largest & super().channels(view)
