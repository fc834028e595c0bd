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
    that of a layer of zeros. With a linear head they are those of Ablation-CAM.

    Source: Jung & Oh 2021, sec. 4.
    """

    name: ClassVar[str] = "lift-cam"
    paper: ClassVar[str] = "jung2021"
    needs: ClassVar[Needs] = Needs(gradient=True)

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed."""
        a = np.asarray(view.a)
        return weighted_sum(np.sum(view.deeplift_multipliers() * a, axis=spatial(a)), a)
