"""Guided Grad-CAM and Guided XGrad-CAM."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxcam.arrays import Array, relu, upsample
from onnxcam.methods.base import Method, WeightedMethod
from onnxcam.methods.formulas.grad_cam import GradCAM
from onnxcam.methods.formulas.xgrad_cam import XGradCAM
from onnxcam.methods.needs import Needs
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class GuidedCAM(Method):
    """Guided backpropagation times the positive part of a layer's map."""

    needs: ClassVar[Needs] = Needs(gradient=True, propagates=True)

    @property
    @abstractmethod
    def base(self) -> WeightedMethod:
        """The method that makes the layer's map."""

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *space]`` at the input's size, signed."""
        g = np.asarray(view.guided())
        return upsample(relu(np.asarray(self.base(view.a, view.g))), g.shape[2:]) * g.sum(axis=1)


@dataclass(frozen=True)
class GuidedGradCAM(GuidedCAM):
    """Guided backpropagation times the positive part of Grad-CAM: fine detail, specific to the class.

    ``L = U(relu(sum_k mean_xy(g_k) A_k)) sum_c b_c``, ``b`` guided backpropagation to the input's channels and ``U``
    bilinear enlargement to its size.

    Source: Selvaraju et al. 2017, sec. 3.

    Differences: the paper shows the product with each channel as a colour; here channels are summed to a map.
    """

    name: ClassVar[str] = "guided-grad-cam"
    paper: ClassVar[str] = "selvaraju2017"

    @property
    def base(self) -> WeightedMethod:
        """Grad-CAM."""
        return GradCAM()


@dataclass(frozen=True)
class GuidedXGradCAM(GuidedCAM):
    """Guided backpropagation times the positive part of XGrad-CAM.

    ``L = U(relu(sum_k w_k A_k)) sum_c b_c``, ``w`` the weights of XGrad-CAM, ``b`` guided backpropagation to the
    input's channels and ``U`` bilinear enlargement to its size.

    Source: Fu et al. 2020.

    Differences: as for Guided Grad-CAM, channels are summed to a map.
    """

    name: ClassVar[str] = "guided-xgrad-cam"
    paper: ClassVar[str] = "fu2020"

    @property
    def base(self) -> WeightedMethod:
        """XGrad-CAM."""
        return XGradCAM()
