"""Ablation-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxcam.arrays import Array, safe_divide, spatial
from onnxcam.methods.base import Method
from onnxcam.methods.support.channel_weights import weighted_sum, work_units
from onnxcam.methods.view import NetworkView

_CHANNELS = 256  # in one unit of work


@dataclass(frozen=True)
class AblationCAM(Method):
    """Feature maps weighted by how much the score drops when each is set to zero.

    ``L = sum_k (S - S_k) A_k``, with ``S_k`` the score when channel ``k`` is 0: a weight is positive where the channel
    raises the score, whatever the sign of the score. Only the part of the network after the layer runs, once per
    channel. Where the score is an affine function of the layer, ``S - S_k = sum_xy g_k A_k`` exactly, and nothing runs:
    the gradient is used instead. Networks that cannot be differentiated are never asked for a gradient.

    Source: Desai & Ramaswamy 2020, eq. 4.

    Differences: the paper divides by ``S``, as ``normalise`` does: the same map up to a factor for a positive score,
    and one of opposite sign for a negative score. pytorch-grad-cam puts the layer's minimum minus ten million in place
    of 0 where activations have both signs, and its maps then depend on its batch size.

    Attributes:
        normalise: divide the weights by the score, ``(S - S_k) / S``, as in the paper; 0 where the score is 0.
        closed_form: use the gradient where that is exact.
    """

    name: ClassVar[str] = "ablation-cam"
    paper: ClassVar[str] = "desai2020"
    normalise: bool = False
    closed_form: bool = True

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed."""
        a = np.asarray(view.a)
        exact = self.closed_form and view.affine
        w = np.sum(view.g * a, axis=spatial(a)) if exact else self._drops(view, a)
        if self.normalise:
            w = safe_divide(w, np.broadcast_to(view.score[:, None], w.shape))
        return weighted_sum(w, a)

    def _drops(self, view: NetworkView, a: Array) -> Array:
        count = a.shape[1]
        w = np.zeros(a.shape[:2], a.dtype)
        work = work_units([np.arange(count)] * len(a), _CHANNELS)
        for step in view.steps(len(work)):
            sample, channels = work[step]
            keep = np.ones((len(channels), count, *(1 for _ in spatial(a))), a.dtype)
            keep[np.arange(len(channels)), channels] = 0
            w[sample, channels] = view.score[sample] - view.ablated(sample, keep)
        return w
