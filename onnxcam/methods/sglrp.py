"""Softmax-gradient relevance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxcam.methods.base import Array
from onnxcam.methods.composed import ComposedMethod, one_hot
from onnxcam.methods.probe import Probe
from onnxcam.relevance.composite import Composite


@dataclass(frozen=True)
class SGLRP(ComposedMethod):
    """Relevance for the class against those that come near it: it starts as the gradient of the softmax.

    ``L = sum_k R_k``, ``R`` propagated as in ``lrp`` from ``p_t (1 - p_t)`` at the target and ``-p_t p_n`` at each
    other class, ``p`` the softmax of the logits.

    Source: Iwana et al. 2019.

    Attributes:
        composite: as of ``lrp``.
        to: as of ``lrp``.
    """

    name: ClassVar[str] = "sglrp"
    paper: ClassVar[str] = "iwana2019"
    composite: str | Composite = "epsilon-plus"

    def explain(self, probe: Probe) -> Array:
        """Return ``[N, *spatial]`` where it ends, signed; its scale is that of a probability."""
        scores, hot = one_hot(probe, self)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        p = powers / powers.sum(axis=1, keepdims=True)
        # 1 - p of a sure class would be rounded to 0: the sum of the others is not.
        rest = np.where(hot > 0, 0, p)
        start = (p * hot).sum(axis=1, keepdims=True) * (hot * rest.sum(axis=1, keepdims=True) - rest)
        return self.propagated(probe, start.reshape(probe.scores.shape))
