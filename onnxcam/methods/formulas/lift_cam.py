"""LIFT-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxcam.arrays import Array, spatial
from onnxcam.methods.base import Method
from onnxcam.methods.needs import Needs
from onnxcam.methods.support.channel_weights import weighted_sum
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class LIFTCAM(Method):
    """Feature maps weighted by each channel's DeepLIFT contribution to the score.

    ``L = sum_k w_k A_k``, ``w_k = sum_xy m_k A_k``, with ``m`` the multipliers of DeepLIFT against the baseline 0: an
    estimate of the channels' Shapley values from one backward pass. Weights sum to the difference between the score and
    that of a layer of zeros, whatever operators follow the layer. In a transformer only patch tokens are set to zero;
    the class token stays. With a linear head the weights are those of Ablation-CAM.

    At a max pool, a rise of the maximum counts where the largest number is now, a fall where it is in the layer of
    zeros. Products of two values that both change are shared evenly, and softmax and normalisations have exact rules of
    their own. Not exact are steps (``Floor``, ``ArgMax``), loops of open length (``Scan``) and the branches of an
    ``If``; in half precision and in quantised networks the rounding errors remain.

    Source: Jung & Oh 2021, sec. 4, by the rescale rule of DeepLIFT (Shrikumar et al. 2017).

    Differences: from captum's DeepLift, which the authors' code calls, where that does not sum to the difference of
    scores: pools whose windows overlap or that follow an activation directly, softmax, normalisations, products of two
    values, activations other than those it lists.
    """

    name: ClassVar[str] = "lift-cam"
    paper: ClassVar[str] = "jung2021"
    needs: ClassVar[Needs] = Needs(gradient=True)

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed."""
        a = np.asarray(view.a)
        return weighted_sum(np.sum(view.deeplift_multipliers() * a, axis=spatial(a)), a)
