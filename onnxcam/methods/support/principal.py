"""The first principal component of feature maps, shared by the Eigen-CAM family."""

from __future__ import annotations

from onnxcam.arrays import Array, spatial


def first_component(x: Array) -> Array:
    """Return ``x`` projected on the direction in channel space along which its places vary most.

    Channels are centred by their mean over places. An image that holds NaN or infinity gives NaN everywhere, and
    leaves the others of the batch alone.

    The sign, which a decomposition leaves open, is that of the sum over channels: the map agrees with ``sum_k x_k``
    (their inner product over centred places is at least 0). For Eigen-CAM bright is where activations are high, for
    EigenGrad-CAM where HiResCAM is.

    Args:
        x: ``[N, K, *spatial]``.

    Returns:
        ``[N, *spatial]``, signed, mean 0.
    """
    xp = x.__array_namespace__()
    places = xp.reshape(x, (x.shape[0], x.shape[1], -1))
    usable = xp.all(xp.isfinite(places), axis=(1, 2), keepdims=True)
    places = xp.where(usable, places, xp.zeros_like(places))  # a decomposition raises on NaN, for the whole batch
    centred = places - xp.mean(places, axis=2, keepdims=True)
    # Economy size: K x min(K, Z) and min(K, Z) x Z. Full matrices would be Z x Z, 157 million numbers at 112 x 112.
    direction, scale, pattern = xp.linalg.svd(centred, full_matrices=False)
    flip = xp.where(xp.sum(direction[:, :, 0], axis=1) < 0, -xp.ones_like(scale[:, 0]), xp.ones_like(scale[:, 0]))
    component = (flip * scale[:, 0])[:, None] * pattern[:, 0, :]
    component = xp.where(usable[:, :, 0], component, xp.full_like(component, xp.nan))
    return xp.reshape(component, (x.shape[0], *(x.shape[axis] for axis in spatial(x))))
