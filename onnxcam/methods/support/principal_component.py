"""The first principal component of feature maps, and what it shares with kernel PCA: centring, and bad images."""

from __future__ import annotations

from onnxcam.arrays import Array, spatial


def first_component(x: Array) -> Array:
    """Return ``x`` projected on the direction in channel space along which its positions vary most.

    Channels are centred by their mean over positions. An image that holds NaN or infinity gives NaN everywhere, and
    does not affect the others of the batch.

    The sign, which a decomposition leaves open, is that of the sum over channels: the map agrees with ``sum_k x_k``
    (their inner product over centred positions is at least 0). For Eigen-CAM high values are where activations are
    high, for EigenGrad-CAM where HiResCAM is.

    Args:
        x: ``[N, K, *spatial]``.

    Returns:
        ``[N, *spatial]``, signed, mean 0.
    """
    xp = x.__array_namespace__()
    centred, usable = centred_positions(x)
    # Economy size: K x min(K, Z) and min(K, Z) x Z. Full matrices would be Z x Z, 157 million numbers at 112 x 112.
    direction, scale, pattern = xp.linalg.svd(centred, full_matrices=False)
    flip = xp.where(xp.sum(direction[:, :, 0], axis=1) < 0, -xp.ones_like(scale[:, 0]), xp.ones_like(scale[:, 0]))
    return component_map((flip * scale[:, 0])[:, None] * pattern[:, 0, :], usable, x)


def centred_positions(x: Array) -> tuple[Array, Array]:
    """Return ``[N, K, Z]``, each channel minus its mean over positions, and which images are finite, ``[N, 1, 1]``.

    An image that is not finite becomes 0: a decomposition raises on NaN, for the whole batch.
    """
    xp = x.__array_namespace__()
    positions = xp.reshape(x, (x.shape[0], x.shape[1], -1))
    usable = xp.all(xp.isfinite(positions), axis=(1, 2), keepdims=True)
    positions = xp.where(usable, positions, xp.zeros_like(positions))
    return positions - xp.mean(positions, axis=2, keepdims=True), usable


def judged_by_size(x: Array) -> list[Array]:
    """Return what a component's map is made of, for ``Method.judged``: a component is as large as they are.

    The decomposition takes long, and its sign may turn over.
    """
    return [centred_positions(x)[0]]


def component_map(component: Array, usable: Array, x: Array) -> Array:
    """Return a component ``[N, Z]`` as a map ``[N, *spatial]`` of ``x``, NaN for images that are not finite."""
    xp = component.__array_namespace__()
    component = xp.where(usable[:, :, 0], component, xp.full_like(component, xp.nan))
    return xp.reshape(component, (x.shape[0], *(x.shape[axis] for axis in spatial(x))))
