"""IS-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array
from onnxcam.methods.formulas.score_cam import ScoreCAM
from onnxcam.methods.support.field_checks import check_counts
from onnxcam.methods.support.masks import masks_at_size
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class ISCAM(ScoreCAM):
    """Score-CAM with weights averaged along a path from a blank image to the masked image.

    ``L = sum_k w_k A_k``, ``w_k = mean_i p(c_i x * M_k)``, ``c_i = i / n`` for ``i`` from 1 to ``n``, and ``M_k`` as in
    Score-CAM.

    Source: Naidu et al. 2020.

    Differences: the paper's algorithm adds up the images of the steps, so that ``c_i`` is ``i (i + 1) / 2n`` and
    exceeds 1; torch-cam follows it, and so does ``path=cumulative``. The default is the integral that the paper
    describes.

    Attributes:
        score: weights are the ``probability`` of the target or its ``logit``.
        baseline: subtract the score of a blank image.
        normalise: ``softmax`` over the channels that were run, or ``none``.
        rectify: the display map ``before`` or ``after`` it is enlarged, as in Score-CAM.
        count: number of steps ``n``.
        path: ``linear`` ends at the masked image, ``cumulative`` at ``(n + 1) / 2`` times that.
    """

    name: ClassVar[str] = "is-cam"
    paper: ClassVar[str] = "naidu2020"
    count: int = 10
    path: Literal["linear", "cumulative"] = "linear"

    def __post_init__(self) -> None:
        """Refuse fewer than one step."""
        super().__post_init__()
        check_counts(self, "count")

    def confidence(self, view: NetworkView, sample: int, masks: Array) -> Array:
        """Return the mean over steps of the score of the image under each mask."""
        masks = masks_at_size(masks, view.x.shape[2:])
        total = np.zeros(len(masks), masks.dtype)
        for factor in self._factors():
            total += view.masked_image(sample, factor * masks, rescale=False, probability=self.score == "probability")
        return total / self.count

    def _factors(self) -> list[float]:
        steps = range(1, self.count + 1)
        return [(i if self.path == "linear" else i * (i + 1) / 2) / self.count for i in steps]
