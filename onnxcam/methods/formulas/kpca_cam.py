"""KPCA-CAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from onnxcam.arrays import Array, spatial
from onnxcam.errors import UnsupportedError
from onnxcam.methods.base import ActivationMethod

# The kernel of a map of 64 x 64 places fills 64 MiB, and its decomposition takes some ten seconds an image.
_MOST_PLACES = 4096


@dataclass(frozen=True)
class KPCACAM(ActivationMethod):
    """The pattern that places share most, where likeness of places is a kernel: Eigen-CAM bent, for no class.

    ``L = sqrt(l) v``, with ``l`` and the unit vector ``v`` the greatest eigenvalue of the doubly centred kernel of all
    pairs of places. A place is its vector of ``K`` centred activations ``p``; the kernel of two is
    ``tanh(gamma p.q + 1)``, ``exp(-gamma |p - q|^2)`` or ``p.q``, which is Eigen-CAM.

    Source: Karmani et al. 2024, and ``KPCA_CAM`` of pytorch-grad-cam with its defaults. The sign, arbitrary there, is
    fixed so that the map agrees with the sum of the activations, as for Eigen-CAM.

    Attributes:
        kernel: how like two places are.
        gamma: of the kernel; 0 for one over the number of channels, the default there.
    """

    name: ClassVar[str] = "kpca-cam"
    paper: ClassVar[str] = "karmani2024"
    kernel: Literal["sigmoid", "rbf", "linear"] = "sigmoid"
    gamma: float = 0.0

    def __call__(self, a: Array) -> Array:
        """Return ``[N, *spatial]``, signed, mean 0."""
        xp = a.__array_namespace__()
        places = xp.reshape(a, (a.shape[0], a.shape[1], -1))
        if places.shape[2] > _MOST_PLACES:
            raise UnsupportedError(
                f"kpca-cam compares all pairs of places, of which this layer has {places.shape[2]}; it takes at most "
                f"{_MOST_PLACES}: choose a later layer, or eigen-cam"
            )
        usable = xp.all(xp.isfinite(places), axis=(1, 2), keepdims=True)
        places = xp.where(usable, places, xp.zeros_like(places))  # a decomposition raises on NaN, for the whole batch
        places = places - xp.mean(places, axis=2, keepdims=True)
        values, vectors = xp.linalg.eigh(_centre(self._compare(places)))
        top = values[:, -1:]
        component = xp.sqrt(xp.where(top > 0, top, xp.zeros_like(top))) * vectors[:, :, -1]
        agreement = xp.sum(component * xp.sum(places, axis=1), axis=1, keepdims=True)
        component = xp.where(agreement < 0, -component, component)
        component = xp.where(usable[:, :, 0], component, xp.full_like(component, xp.nan))
        return xp.reshape(component, (a.shape[0], *(a.shape[axis] for axis in spatial(a))))

    def _compare(self, places: Array) -> Array:
        """Return the kernel of all pairs of places, ``[N, Z, Z]``."""
        xp = places.__array_namespace__()
        gamma = self.gamma or 1 / places.shape[1]
        products = xp.matmul(xp.matrix_transpose(places), places)
        if self.kernel == "linear":
            return products
        if self.kernel == "sigmoid":
            return xp.tanh(gamma * products + 1.0)
        squares = xp.sum(places * places, axis=1)
        distances = squares[:, :, None] + squares[:, None, :] - 2.0 * products
        return xp.exp(-gamma * distances)


def _centre(kernel: Array) -> Array:
    """Return the kernel of the images of all places less their mean."""
    xp = kernel.__array_namespace__()
    rows = xp.mean(kernel, axis=1, keepdims=True)
    columns = xp.mean(kernel, axis=2, keepdims=True)
    return kernel - rows - columns + xp.mean(rows, axis=2, keepdims=True)
