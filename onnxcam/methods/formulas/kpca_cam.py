"""KPCA-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

from onnxcam.arrays import Array
from onnxcam.errors import UnsupportedError
from onnxcam.methods.base import ActivationMethod
from onnxcam.methods.support.principal_component import centred_positions, component_map, judged_by_size
from onnxcam.methods.view import NetworkView

# The kernel of a layer of 64 x 64 positions fills 64 MiB, and its decomposition takes some ten seconds an image.
_MOST_POSITIONS = 4096


@dataclass(frozen=True)
class KPCACAM(ActivationMethod):
    """Kernel PCA of the feature maps, a nonlinear Eigen-CAM; class-agnostic.

    ``L = sqrt(l) v``, with ``l`` and the unit vector ``v`` the greatest eigenvalue and its eigenvector of the doubly
    centred kernel matrix of all pairs of positions. A position is its vector of ``K`` centred activations ``p``; the
    kernel of two is ``tanh(gamma p.q + 1)``, ``exp(-gamma |p - q|^2)`` or ``p.q``, which is Eigen-CAM.

    Source: Karmani et al. 2024, and ``KPCA_CAM`` of pytorch-grad-cam with its defaults.

    Differences: the sign, arbitrary there, is chosen so that the map agrees with the sum of the activations, as for
    Eigen-CAM.

    Attributes:
        kernel: similarity of two positions: ``sigmoid``, ``rbf`` or ``linear``, in the order above.
        gamma: factor in the kernel; 0 stands for one over the number of channels, pytorch-grad-cam's default.
    """

    name: ClassVar[str] = "kpca-cam"
    paper: ClassVar[str] = "karmani2024"
    kernel: Literal["sigmoid", "rbf", "linear"] = "sigmoid"
    gamma: float = 0.0

    def judged(self, view: NetworkView) -> list[Array]:
        """Return what is decomposed."""
        return judged_by_size(view.a)

    def __call__(self, a: Array) -> Array:
        """Return ``[N, *spatial]``, signed, mean 0."""
        xp = a.__array_namespace__()
        count = prod(a.shape[2:])
        if count > _MOST_POSITIONS:
            raise UnsupportedError(
                f"kpca-cam compares all pairs of at most {_MOST_POSITIONS} positions, and this layer has {count}; "
                "choose a later layer (closer to the output), or eigen-cam"
            )
        positions, usable = centred_positions(a)
        values, vectors = xp.linalg.eigh(_centre(self._compare(positions)))
        top = values[:, -1:]
        component = xp.sqrt(xp.where(top > 0, top, xp.zeros_like(top))) * vectors[:, :, -1]
        agreement = xp.sum(component * xp.sum(positions, axis=1), axis=1, keepdims=True)
        component = xp.where(agreement < 0, -component, component)
        return component_map(component, usable, a)

    def _compare(self, positions: Array) -> Array:
        """Return the kernel of all pairs of positions, ``[N, Z, Z]``."""
        xp = positions.__array_namespace__()
        gamma = self.gamma or 1 / positions.shape[1]
        products = xp.matmul(xp.matrix_transpose(positions), positions)
        if self.kernel == "linear":
            return products
        if self.kernel == "sigmoid":
            return xp.tanh(gamma * products + 1.0)
        squares = xp.sum(positions * positions, axis=1)
        distances = squares[:, :, None] + squares[:, None, :] - 2.0 * products
        return xp.exp(-gamma * distances)


def _centre(kernel: Array) -> Array:
    """Return the doubly centred kernel: that of all positions minus their mean in the kernel's feature space."""
    xp = kernel.__array_namespace__()
    rows = xp.mean(kernel, axis=1, keepdims=True)
    columns = xp.mean(kernel, axis=2, keepdims=True)
    return kernel - rows - columns + xp.mean(rows, axis=2, keepdims=True)
