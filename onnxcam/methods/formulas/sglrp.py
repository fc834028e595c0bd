"""Softmax-gradient relevance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxcam.arrays import Array, softmax
from onnxcam.methods.support.lrp_base import ContrastiveLRP, one_hot
from onnxcam.methods.view import NetworkView
from onnxcam.relevance.composite import AUTO, Composite


@dataclass(frozen=True)
class SGLRP(ContrastiveLRP):
    """LRP that starts from the gradient of the softmax: relevance for the class against similar classes.

    ``L = sum_k R_k``, ``R`` propagated as in ``lrp`` from ``p_t (1 - p_t)`` at the target and ``-p_t p_n`` at each
    other class, ``p`` the softmax of the logits.

    Source: Iwana et al. 2019.

    Differences: the authors' code propagates the class and the other classes one by one, scales the second map to the
    sum of the first, and subtracts; here both start at once, which is the same wherever propagation conserves
    relevance. Its rules are z+, and bounds of -1 and 1 at the input; here they are those of the composite.

    By default, ``auto``, all layers follow z+ without biases, and what would be lost is spread (``z-plus-spread``): by
    z+ what classes have in common cancels, by epsilon in dense layers it does so only in part. Relevance starts with
    the total 0, so that the total of the map does not say how much arrives. The warning that little arrives is
    therefore about the target's part alone. It is given only with composites that do not spread.

    Attributes:
        composite: which propagation rules to use, as for ``lrp``.
        to: where the map ends, as for ``lrp``.
    """

    name: ClassVar[str] = "sglrp"
    paper: ClassVar[str] = "iwana2019"
    composite: str | Composite = AUTO

    def start(self, view: NetworkView) -> Array:
        """Return ``p_t (1 - p_t)`` at the target and ``-p_t p_n`` elsewhere: of the scale of a probability."""
        scores, hot = one_hot(view, self)
        p = softmax(scores)
        # 1 - p_t of a class with probability near 1 would be rounded to 0: the sum of the others is not.
        rest = np.where(hot > 0, 0, p)
        return (p * hot).sum(axis=1, keepdims=True) * (hot * rest.sum(axis=1, keepdims=True) - rest)
