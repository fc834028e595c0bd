"""Shapley-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxcam.arrays import Array
from onnxcam.methods.base import Method
from onnxcam.methods.formulas.grad_cam import GradCAM
from onnxcam.methods.needs import Needs
from onnxcam.methods.view import NetworkView


@dataclass(frozen=True)
class ShapleyCAM(Method):
    """Feature maps weighted by second-order estimates of their Shapley values.

    ``L = sum_k w_k A_k``, ``w_k = mean_xy(g - H A / 2)_k`` with ``H`` the second derivative of the score with respect
    to the layer. ``H A`` is exact: the gradient graph is differentiated once more, with the batch open or fixed. With
    a head of ReLU, pooling and linear layers ``H`` is 0 and the map is Grad-CAM's; rounding counts as the identity in
    both derivatives. In a transformer ``A`` is the patch tokens: the others stay as they are, as in ``recipro-cam``.

    Source: Cai 2025, and ``ShapleyCAM`` of pytorch-grad-cam.

    Differences: the paper explains a score of its own (ReST); here it is the explained score, by default the logit.
    """

    name: ClassVar[str] = "shapley-cam"
    paper: ClassVar[str] = "cai2025"
    needs: ClassVar[Needs] = Needs(gradient=True)

    def explain(self, view: NetworkView) -> Array:
        """Return ``[N, *spatial]``, signed, in units of the score."""
        a = view.a
        slope = view.g if view.affine else view.g - 0.5 * view.hessian_vector_product(a)
        return GradCAM()(a, slope)
