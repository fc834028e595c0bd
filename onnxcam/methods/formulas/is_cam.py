"""IS-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxcam.arrays import Array
from onnxcam.methods.formulas.score_cam import ScoreCAM
from onnxcam.methods.support.channels import require_positive, shown
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class ISCAM(ScoreCAM):
    """Score-CAM whose weights are averaged on the way from a blank image to the masked one.

    ``L = sum_k w_k A_k``, ``w_k = mean_i p(c_i x * M_k)``, ``c_i = i / n`` for ``i`` from 1 to ``n``, and ``M_k`` as in
    Score-CAM.

    Source: Naidu et al. 2020. There the images of the steps are summed up as they come, so that ``c_i`` is
    ``i (i + 1) / 2n`` and passes 1, which torch-cam follows: ``cumulative``. The default is the integral that the paper
    speaks of.

    Attributes:
        score: the ``probability`` of the target or its ``logit``.
        baseline: subtract that of a blank image from it.
        normalise: ``softmax`` over the channels that were run, or ``none``.
        count: of steps, ``n``.
        path: ``linear`` ends at the masked image, ``cumulative`` at ``(n + 1) / 2`` times that.
    """

    name: ClassVar[str] = "is-cam"
    paper: ClassVar[str] = "naidu2020"
    count: int = 10
    path: Literal["linear", "cumulative"] = "linear"

    def __post_init__(self) -> None:
        """Refuse a mean of nothing."""
        super().__post_init__()
        require_positive(self, "count")

    def confidence(self, view: NetworkView, sample: int, masks: Array) -> Array:
        """Return the mean over steps of what the network makes of the image seen through each mask."""
        masks = shown(masks, view.x.shape[2:])
        total = np.zeros(len(masks), masks.dtype)
        for factor in self._factors():
            total += view.masked_image(sample, factor * masks, rescale=False, probability=self.score == "probability")
        return total / self.count

    def _factors(self) -> list[float]:
        steps = range(1, self.count + 1)
        return [(i if self.path == "linear" else i * (i + 1) / 2) / self.count for i in steps]
