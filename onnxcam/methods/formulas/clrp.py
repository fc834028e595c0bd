"""Contrastive layer-wise relevance propagation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array
from onnxcam.methods.support.lrp_base import ContrastiveLRP, one_hot
from onnxcam.methods.view import NetworkView
from onnxcam.relevance.composite import AUTO, Composite


@dataclass(frozen=True)
class CLRP(ContrastiveLRP):
    """Contrastive LRP: the relevance of the class minus the relevance of all other classes.

    ``L = sum_k R_k``, ``R`` propagated as in ``lrp`` from ``z_t`` at the target and ``-z_t / (n - 1)`` at each of the
    ``n - 1`` other classes, ``z_t`` the target's logit.

    Source: Gu et al. 2018, CLRP1, whose difference of two propagations is computed as one, since propagation is linear
    in the relevance that it starts from.

    Differences: the paper keeps the positive part of each input value; here the map is signed, in units of the score.
    Code of the authors of SGLRP scales the relevance of the other classes to the sum of the target's, which is the same
    wherever propagation conserves relevance.

    By default, ``auto``, all layers follow z+ without biases, and what would be lost is spread (``z-plus-spread``): by
    z+ what classes have in common cancels, by epsilon in dense layers it does so only in part. Relevance starts with
    the total 0, so that the total of the map does not say how much arrives. The warning that little arrives is
    therefore about the target's part alone. It is given only with composites that do not spread.

    Attributes:
        composite: which propagation rules to use, as for ``lrp``.
        to: where the map ends, as for ``lrp``.
    """

    name: ClassVar[str] = "clrp"
    paper: ClassVar[str] = "gu2018"
    composite: str | Composite = AUTO

    def start(self, view: NetworkView) -> Array:
        """Return the score at the target, and minus the same divided among the others."""
        scores, hot = one_hot(view, self)
        others = (1 - hot) / max(hot.shape[1] - 1, 1)
        return (scores * hot).sum(axis=1, keepdims=True) * (hot - others)
