"""Relevance-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxcam.arrays import Array, spatial
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.channel_weights import weighted_sum
from onnxcam.methods.support.lrp_base import one_hot
from onnxcam.methods.view import NetworkView
from onnxcam.relevance.composite import Composite

_RULES = "z-plus"


@dataclass(frozen=True)
class RelevanceCAM(Method):
    """Feature maps weighted by their mean relevance (LRP), where Grad-CAM takes the mean gradient.

    ``L = sum_k mean_xy(R_k) A_k``, ``R`` propagated to the layer by z+ from 1 at the target and ``-1 / n`` at each
    of the other classes, ``n`` the number of all classes.

    Source: Lee et al. 2021.

    Differences: the authors' code adds the bias of a convolution to both halves of z+; in the networks that it is
    written for convolutions have none, and here biases take no part.
    """

    name: ClassVar[str] = "relevance-cam"
    paper: ClassVar[str] = "lee2021"
    needs: ClassVar[Needs] = Needs(propagates=True)

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed."""
        _, hot = one_hot(view, self)
        start = hot - (1 - hot) / hot.shape[1]
        r = view.relevance(Composite.parse(_RULES), start.reshape(view.scores.shape))
        a = np.asarray(view.a)
        return weighted_sum(np.mean(r, axis=spatial(a)), a)
